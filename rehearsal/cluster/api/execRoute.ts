import { randomBytes } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { RunningProcess } from '../containers/processRunner';
import type { ExecTarget } from '../kubelet/containerRunner';
import { StartFailure } from '../kubelet/commandLine';
import { channel, greet, highWater, passInput, sendOn, type StreamRequest } from './containerStreams';

/**
 * Runs a command in a running container and joins a WebSocket to it. How it ended comes on the error channel: success, or
 * a failure with the exit code, or why it could not be started. A command outlives its client, without input.
 */
export async function exec(socket: WebSocket, asked: StreamRequest, words: readonly string[], start: ExecTarget): Promise<void> {
  greet(socket, asked);
  let process: RunningProcess | undefined;
  const output = (stream: 'stdout' | 'stderr', chunk: Buffer): void => {
    if (!(stream === 'stdout' ? asked.stdout : asked.stderr)) return;
    sendOn(socket, channel[stream], chunk);
    if (process && socket.bufferedAmount > highWater) holdBack(socket, process);
  };
  let status: object;
  try {
    // What the client says meanwhile waits.
    socket.pause();
    process = await start(words, { stdin: asked.stdin, output });
    const { stdin } = process;
    passInput(socket, stdin, () => stdin?.end());
    socket.resume();
    status = ended(words, (await process.exited).code);
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    socket.resume();
    status = notStarted(words, error);
  }
  sendOn(socket, channel.error, JSON.stringify(status));
  socket.close(1000);
}

/** The command waits while its client does not read. */
function holdBack(socket: WebSocket, process: RunningProcess): void {
  process.flow(false);
  const timer = setInterval(() => {
    if (socket.readyState === socket.OPEN && socket.bufferedAmount > highWater / 2) return;
    clearInterval(timer);
    process.flow(true);
  }, 10);
}

function ended(words: readonly string[], code: number): object {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command [${words.join(' ')}], exit code ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

function notStarted(words: readonly string[], { why }: StartFailure): object {
  const reason = words.length === 0 ? 'args must not be empty' : `unable to start container process: ${why}`;
  const message = `error executing command in container: failed to exec in container: failed to start exec "${randomBytes(32).toString('hex')}": OCI runtime exec failed: exec failed: ${reason}: unknown`;
  return { metadata: {}, status: 'Failure', message: `Internal error occurred: ${message}`, reason: 'InternalError', details: { causes: [{ message }] }, code: 500 };
}
