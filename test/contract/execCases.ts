import assert from 'node:assert/strict';
import WebSocket from 'ws';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';

interface Executed {
  code: number;
  /** What came on each channel, joined. */
  channels: Map<number, string>;
}

interface Refused {
  status: number;
  body: string;
}

const v4 = 'v4.channel.k8s.io';

/**
 * Commands in running containers, as part of the Kubernetes contract.
 * @param given the suite's client and the path of its namespace's pods; called in the cases, when they are there
 */
export function execCases(given: () => { client: KubernetesClient; pods: string; runningPod: (name: string, container: object) => Promise<unknown> }): void {
  describe('exec', () => {
    const open = async (pod: string, command: readonly string[], { query = 'stdout=true&stderr=true', input = '', protocol = v4 } = {}): Promise<Executed | Refused> => {
      const { client, pods } = given();
      const [connection, headers] = await Promise.all([client.transport.connect(), client.headers()]);
      const words = command.map((word) => `command=${encodeURIComponent(word)}&`).join('');
      const socket = new WebSocket(`${client.transport.server.replace(/^http/, 'ws')}${pods}/${pod}/exec?${words}${query}`, [protocol], { headers, createConnection: () => connection });
      const channels = new Map<number, string>();
      socket.on('message', (message: Buffer) => {
        const channel = message[0] ?? -1;
        channels.set(channel, (channels.get(channel) ?? '') + message.subarray(1).toString());
      });
      if (input) socket.once('open', () => socket.send(Buffer.concat([Buffer.of(0), Buffer.from(input)])));
      return new Promise((resolve, reject) => {
        socket.once('error', reject);
        socket.once('close', (code) => resolve({ code, channels }));
        socket.once('unexpected-response', (_request, response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString())).once('end', () => {
            connection.destroy();
            resolve({ status: response.statusCode ?? 0, body });
          });
        });
      });
    };
    const run = async (command: readonly string[], options: { query?: string; input?: string } = {}): Promise<{ out: string; err: string; status: Record<string, unknown> }> => {
      const answer = await open('shell', command, options);
      assert.ok('channels' in answer, `the exec was refused: ${JSON.stringify(answer)}`);
      assert.equal(answer.code, 1000);
      return { out: answer.channels.get(1) ?? '', err: answer.channels.get(2) ?? '', status: JSON.parse(answer.channels.get(3) ?? '{}') as Record<string, unknown> };
    };
    const success = { metadata: {}, status: 'Success' };

    before(() => given().runningPod('shell', { command: ['sleep', '1000'], env: [{ name: 'GREETING', value: 'hello' }] }));

    it('runs in the container’s environment, the two outputs apart', async () => {
      assert.deepEqual(await run(['sh', '-c', 'echo $GREETING; echo $HOSTNAME >&2']), { out: 'hello\n', err: 'shell\n', status: success });
      assert.deepEqual(await run(['sh', '-c', 'echo out; echo err >&2'], { query: 'stderr=true' }), { out: '', err: 'err\n', status: success });
    });

    it('tells the exit code, and that of a signal', async () => {
      for (const [script, code] of [['exit 3', 3], ['kill -9 $$', 137]] as const) {
        assert.deepEqual((await run(['sh', '-c', script])).status, {
          metadata: {},
          status: 'Failure',
          message: `command terminated with non-zero exit code: error executing command [sh -c ${script}], exit code ${code}`,
          reason: 'NonZeroExitCode',
          details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
        });
      }
    });

    it('passes input on', async () => {
      assert.deepEqual(await run(['head', '-c', '5'], { query: 'stdin=true&stdout=true', input: 'hello' }), { out: 'hello', err: '', status: success });
      assert.deepEqual(await run(['cat'], { query: 'stdout=true' }), { out: '', err: '', status: success }, 'without stdin the command reads an end');
    });

    it('loses nothing of a long output', async () => {
      const { out } = await run(['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789012345678; i=$((i+1)); done']);
      assert.equal(out.length, 1_000_000);
    });

    it('says why a command cannot be started', async () => {
      const cases: [string[], RegExp][] = [
        [['no-such-program'], /^Internal error occurred: error executing command in container: failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: exec failed: unable to start container process: exec: "no-such-program": executable file not found in \$PATH: unknown$/],
        [['/no/such'], /exec failed: unable to start container process: exec: "\/no\/such": stat \/no\/such: no such file or directory: unknown$/],
        [[], /exec failed: args must not be empty: unknown$/],
      ];
      for (const [command, message] of cases) {
        const { status } = await run(command);
        assert.deepEqual([status['status'], status['reason'], status['code']], ['Failure', 'InternalError', 500]);
        assert.match(String(status['message']), message);
      }
    });

    it('refuses what it cannot do', async () => {
      const refusal = async (pod: string, query?: string, protocol?: string): Promise<[number, string]> => {
        const answer = await open(pod, ['true'], { ...(query !== undefined && { query }), ...(protocol !== undefined && { protocol }) });
        assert.ok('status' in answer, 'the exec was not refused');
        const { status, body } = answer;
        return [status, body.startsWith('{') ? (JSON.parse(body) as { message: string }).message : body];
      };
      assert.deepEqual(await refusal('shell', 'stdout=true&container=other'), [400, 'container other is not valid for pod shell']);
      assert.deepEqual(await refusal('nobody'), [404, 'pods "nobody" not found']);
      assert.deepEqual(await refusal('shell', ''), [400, 'you must specify at least 1 of stdin, stdout, stderr']);
      assert.deepEqual(await refusal('shell', 'stdout=true', 'v9.channel.k8s.io'), [403, '']);
    });
  });
}
