import { createHash, randomBytes } from 'node:crypto';
import type { Agent } from '../core/agent/agent';
import type { KubernetesClient } from '../core/kubernetes/client';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { buildLabels } from './buildLabels';
import { CONTEXT_FILE, DIGEST_FILE, type BuildPodSettings, type ContextTransfer } from './buildPod';
import type { BuildSecrets } from './buildSecrets';
import { contextArchive, type ContextEntry } from './contextArchive';
import { argumentsOf, type ImageBuild } from './imageBuild';
import type { KanikoInputs } from './inputs';
import { AttachRefusedError, BrokenUploadError, runBuildPod, type BuildEnd, type BuildVoice, type PackedContext } from './runBuildPod';
import { OpenBuilds } from './sweepBuild';

/** Runs executors, wherever. */
export interface Executor {
  /**
   * @param packed is told of the bytes of the context as they are packed
   * @returns how the executor ended, well or not
   */
  build(build: ImageBuild, voice: BuildVoice, packed: (bytes: number) => void): Promise<BuildEnd>;
}

/** A broken upload is tried again with a fresh pod this often. */
const ATTEMPTS = 3;

/** Runs each build in a pod of its own. */
export function clusterExecutor(
  agent: Agent,
  client: KubernetesClient,
  of: { namespace: string; inputs: KanikoInputs; config: DockerConfig | undefined; secrets: BuildSecrets; signal: AbortSignal },
): Executor {
  const { namespace, inputs, config, secrets, signal } = of;
  const open = new OpenBuilds(agent);
  const labels = buildLabels(agent);
  const isSecret = config !== undefined || secrets.buildArgs.length > 0 || secrets.mounts.length > 0;

  let attachIsRefused = false;

  const transferOf = (build: ImageBuild): ContextTransfer => {
    if (!build.context) return { kind: 'none' };
    return attachIsRefused ? { kind: 'exec', image: inputs.contextImage } : { kind: 'stdin' };
  };
  const settingsOf = (build: ImageBuild, transfer: ContextTransfer): BuildPodSettings => ({
    name: `kaniko-build-${randomBytes(5).toString('hex')}`,
    executorImage: inputs.executorImage,
    args: argumentsOf(build, inputs.options, secrets, { digestFile: DIGEST_FILE, ...(transfer.kind === 'exec' ? { contextFile: CONTEXT_FILE } : {}) }),
    transfer,
    timeoutMs: inputs.timeoutMs,
    labels,
    secrets: isSecret ? secrets : undefined,
    platform: build.platform,
    pod: inputs.pod,
  });

  return {
    async build(build, voice, packed) {
      for (let attempt = 1; ; attempt++) {
        const transfer = transferOf(build);
        const entries = build.context?.entries;
        try {
          return await runBuildPod(voice, client, {
            namespace,
            settings: settingsOf(build, transfer),
            secret: isSecret ? { config: config ?? { auths: {} }, secrets } : undefined,
            entries,
            ...(entries && transfer.kind === 'exec' ? { packedContext: await measured(entries) } : {}),
            open,
            packed,
            signal,
          });
        } catch (error) {
          if (error instanceof AttachRefusedError && !signal.aborted) {
            voice.info(`${error.message} The context is sent by a command in an init container instead.`);
            attachIsRefused = true;
            continue;
          }
          if (!(error instanceof BrokenUploadError) || attempt === ATTEMPTS || signal.aborted) throw error;
          voice.warning(`${error.message} Trying again with a fresh pod.`);
        }
      }
    },
  };
}

/** What the context becomes when it is packed: packed once more, as a command has to know where its input ends. */
async function measured(entries: readonly ContextEntry[]): Promise<PackedContext> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of contextArchive(entries) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
