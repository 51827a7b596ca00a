import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { mountKey, type BuildSecrets } from './buildSecrets';
import type { Executor } from './clusterExecutor';
import { contextArchive } from './contextArchive';
import { ExecutorLog } from './executorLog';
import { argumentsOf, type ImageBuild } from './imageBuild';
import type { KanikoInputs } from './inputs';
import { inDanger, mountPoints, type NeededPath } from './localRisk';
import type { BuildEnd, BuildVoice } from './runBuildPod';

/** What of the agent's environment the executor may need: its tools, proxies, and the credential helpers' settings. */
const PASSED_ON = ['PATH', 'HOME', 'container', 'KUBERNETES_SERVICE_HOST', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'SSL_CERT_DIR', 'SSL_CERT_FILE', 'AWS_REGION', 'AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE', 'GOOGLE_APPLICATION_CREDENTIALS', 'AZURE_CLIENT_ID', 'AZURE_TENANT_ID', 'AZURE_FEDERATED_TOKEN_FILE'];
const KILL_AFTER_MS = 2_000;

/**
 * Checks that the executor can be run on the agent itself without wiping the agent.
 * @throws UserError otherwise; nothing has been touched then
 */
export function checkLocal(agent: Agent, inputs: KanikoInputs): void {
  const [image, ...others] = inputs.images;
  if (others.length > 0 || (image?.platforms.length ?? 0) > 0) throw new UserError("With 'mode: local' one image can be built, for the agent's own platform", "Use several steps in jobs of their own, or 'mode: pod'.");
  if (process.platform !== 'linux') throw new UserError("'mode: local' works on Linux only", "Use 'mode: pod'.");
  try {
    fs.accessSync(inputs.executorPath, fs.constants.X_OK);
  } catch {
    throw new UserError(`There is no executor at ${inputs.executorPath} on the agent`, "'mode: local' is for jobs that run inside of a Kaniko container; use 'mode: pod' elsewhere.");
  }
  const needed = neededPaths(agent, inputs).map(({ what, path: name }) => ({ what, path: fs.realpathSync(name) }));
  const [lost] = inDanger(needed, mountPoints(fs.readFileSync('/proc/self/mountinfo', 'utf8')));
  if (lost) {
    throw new UserError(
      `The executor would wipe ${lost.what} (${lost.path}): it empties the container's file system, and this does not lie on a mount`,
      "Run the job by 'container:' in a Kaniko image, where the agent mounts its folders, or use 'mode: pod'.",
    );
  }
}

function neededPaths(agent: Agent, inputs: KanikoInputs): NeededPath[] {
  const folders = ['Agent.HomeDirectory', 'Agent.WorkFolder', 'Agent.BuildDirectory'].flatMap((name) => {
    const folder = agent.variable(name);
    return folder ? [{ what: `the agent's folder ${name}`, path: folder }] : [];
  });
  return [
    { what: "the agent's working folder", path: agent.workingDirectory },
    { what: "the agent's temporary folder", path: agent.tempDirectory },
    { what: 'Node.js, which runs this task,', path: process.execPath },
    { what: 'this task', path: __dirname },
    ...folders,
    ...inputs.images.flatMap(({ context }) => (context.kind === 'folder' ? [{ what: 'the build context', path: context.folder }] : [])),
  ].filter(({ path: name }) => fs.existsSync(name));
}

/** Runs the executor on the agent. Call {@link checkLocal} first. */
export function localExecutor(agent: Agent, of: { inputs: KanikoInputs; config: DockerConfig | undefined; secrets: BuildSecrets; signal: AbortSignal }): Executor {
  const { inputs, config, secrets, signal } = of;
  return {
    async build(build, voice, packed) {
      const started = Date.now();
      const folder = fs.mkdtempSync(path.join(agent.tempDirectory, 'kaniko-'));
      try {
        const secretsFolder = path.join(folder, 'secrets');
        const digestFile = path.join(folder, 'digest');
        writePrivate(secretsFolder, Object.fromEntries(secrets.mounts.map(({ content }, index) => [mountKey(index), content])));
        writePrivate(path.join(folder, 'docker'), { 'config.json': Buffer.from(JSON.stringify(config ?? { auths: {} })) });
        fs.writeFileSync(digestFile, '');
        const env = {
          ...Object.fromEntries(PASSED_ON.flatMap((name) => (agent.environment(name) === undefined ? [] : [[name, agent.environment(name)]]))),
          ...Object.fromEntries(secrets.buildArgs.map(({ name, value }) => [name, value])),
          DOCKER_CONFIG: path.join(folder, 'docker'),
        };
        const args = argumentsOf(build, inputs.options, secrets, { digestFile, secretsFolder });
        const child = spawn(inputs.executorPath, args, { env, stdio: [build.context ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
        const log = new ExecutorLog();
        const { exitCode, reason } = await ended(child, log, build, voice, packed, AbortSignal.any([signal, timeLimit(inputs.timeoutMs)]));
        if (signal.aborted) throw signal.reason;
        return { exitCode, reason, message: fs.readFileSync(digestFile, 'utf8'), log: log.lines, durationMs: Date.now() - started };
      } finally {
        fs.rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

function writePrivate(folder: string, files: Readonly<Record<string, Buffer>>): void {
  fs.mkdirSync(folder, { mode: 0o700 });
  for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), content, { mode: 0o600 });
}

function timeLimit(milliseconds: number): AbortSignal {
  const over = new AbortController();
  setTimeout(() => over.abort(new UserError('The build did not end within its time limit', "Raise 'timeout'.")), milliseconds).unref();
  return over.signal;
}

function ended(child: ChildProcess, log: ExecutorLog, build: ImageBuild, voice: BuildVoice, packed: (bytes: number) => void, signal: AbortSignal): Promise<Pick<BuildEnd, 'exitCode' | 'reason'>> {
  const archive = build.context && send(child, contextArchive(build.context.entries, packed));
  const lines = [child.stdout, child.stderr].map(
    (stream) =>
      new Promise<void>((resolve) => {
        if (!stream) return resolve();
        createInterface({ input: stream }).on('line', (line) => {
          if (log.add(line)) voice.info(line);
        }).once('close', resolve);
      }),
  );
  const stop = () => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new UserError(`The executor cannot be started: ${error.message}`, "Check 'executorPath'.")));
    archive?.once('error', (error) => {
      stop();
      reject(error);
    });
    child.once('exit', (code, killed) => {
      signal.removeEventListener('abort', stop);
      archive?.destroy();
      void Promise.all(lines).then(() => (signal.aborted ? reject(signal.reason as Error) : resolve({ exitCode: code ?? 255, reason: killed === 'SIGKILL' ? 'OOMKilled' : undefined })));
    });
  });
}

/** An executor that ends early closes its input: its own words tell why. */
function send(child: ChildProcess, archive: Readable): Readable {
  child.stdin?.on('error', () => archive.destroy());
  if (child.stdin) archive.pipe(child.stdin);
  return archive;
}

