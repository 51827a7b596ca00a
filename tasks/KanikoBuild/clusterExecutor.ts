import { randomBytes } from 'node:crypto';
import type { Agent } from '../core/agent/agent';
import type { KubernetesClient } from '../core/kubernetes/client';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { buildLabels } from './buildLabels';
import { DIGEST_FILE, type BuildPodSettings } from './buildPod';
import type { BuildSecrets } from './buildSecrets';
import { argumentsOf, type ImageBuild } from './imageBuild';
import type { KanikoInputs } from './inputs';
import { BrokenUploadError, runBuildPod, type BuildEnd, type BuildVoice } from './runBuildPod';
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

  const settingsOf = (build: ImageBuild): BuildPodSettings => ({
    name: `kaniko-build-${randomBytes(5).toString('hex')}`,
    executorImage: inputs.executorImage,
    args: argumentsOf(build, inputs.options, secrets, { digestFile: DIGEST_FILE }),
    stdin: build.context !== undefined,
    timeoutMs: inputs.timeoutMs,
    labels,
    secrets: isSecret ? secrets : undefined,
    platform: build.platform,
    pod: inputs.pod,
  });

  return {
    async build(build, voice, packed) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await runBuildPod(voice, client, {
            namespace,
            settings: settingsOf(build),
            secret: isSecret ? { config: config ?? { auths: {} }, secrets } : undefined,
            entries: build.context?.entries,
            open,
            packed,
            signal,
          });
        } catch (error) {
          if (!(error instanceof BrokenUploadError) || attempt === ATTEMPTS || signal.aborted) throw error;
          voice.warning(`${error.message} Trying again with a fresh pod.`);
        }
      }
    },
  };
}
