import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Agent, TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import type { KubernetesClient } from '../core/kubernetes/client';
import { clusterSource } from '../core/kubernetes/clusterSource';
import { dockerConfig, hasLogin, secretsOf, type DockerConfig } from '../core/registry/dockerConfig';
import { formatDuration } from '../core/time/clock';
import { buildLabels } from './buildLabels';
import type { ContextEntry } from './contextArchive';
import { executorFailure } from './executorFailure';
import { readInputs, type KanikoInputs } from './inputs';
import type { BuildEnd } from './runBuildPod';

/** A broken upload is tried again with a fresh pod this often. */
const ATTEMPTS = 3;

/** The task's main process: packs the context, has it built in the cluster, and tells the pushed digest. */
export async function kanikoBuild(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  const inputs = readInputs(agent);
  const { contextEntries } = await import('./contextArchive');
  const entries = await contextEntries(inputs.context, inputs.dockerfile);
  const { connectCluster } = await import('../core/kubernetes/connect');
  const { client, namespace: ofContext } = connectCluster(clusterSource(inputs.connection), agent);
  try {
    const end = await buildWithRetries(agent, client, inputs.namespace ?? ofContext ?? 'default', inputs, entries, signal);
    return conclude(agent, inputs, end);
  } finally {
    client.close();
  }
}

async function buildWithRetries(agent: Agent, client: KubernetesClient, namespace: string, inputs: KanikoInputs, entries: readonly ContextEntry[], signal: AbortSignal): Promise<BuildEnd> {
  const size = entries.reduce((sum, entry) => sum + entry.size, 0);
  const credentials = readCredentials(agent, inputs);
  const { BrokenUploadError, runBuildPod } = await import('./runBuildPod');
  if (inputs.login && credentials && !hasLogin(credentials, inputs.registry)) {
    agent.warning(`The image goes to ${inputs.registry}, but 'registryServiceConnection' logs in to ${inputs.login.host}: the push will be refused unless ${inputs.registry} takes it from anybody.`);
  }
  agent.section(`Building ${inputs.destination} in namespace ${namespace}`);
  agent.info(`Context ${inputs.context}: ${entries.length} entries, ${formatBytes(size)}; executor ${inputs.executorImage}.`);
  for (let attempt = 1; ; attempt++) {
    const settings = {
      name: `kaniko-build-${randomBytes(5).toString('hex')}`,
      executorImage: inputs.executorImage,
      dockerfile: inputs.dockerfile,
      destination: inputs.destination,
      buildArgs: inputs.buildArgs,
      timeoutMs: inputs.timeoutMs,
      labels: buildLabels(agent),
      hasCredentials: credentials !== undefined,
    };
    try {
      return await runBuildPod(agent, client, { namespace, settings, credentials, entries, signal });
    } catch (error) {
      if (!(error instanceof BrokenUploadError) || attempt === ATTEMPTS || signal.aborted) throw error;
      agent.warning(`${error.message} Trying again with a fresh pod.`);
    }
  }
}

/** The connection's login, added to what an earlier `Docker@2 login` of the job has left in `DOCKER_CONFIG`. */
function readCredentials(agent: Agent, inputs: KanikoInputs): DockerConfig | undefined {
  const logins = inputs.login ? [inputs.login] : [];
  const folder = process.env['DOCKER_CONFIG'];
  const file = folder ? path.join(folder, 'config.json') : undefined;
  if (!file || !fs.existsSync(file)) return inputs.login && dockerConfig(logins);
  const existing = parseConfig(file);
  for (const secret of secretsOf(existing)) agent.setSecret(secret);
  if (existing.credsStore) agent.warning(`The logins in ${file} are kept by '${existing.credsStore}' on the agent, where the build cannot use them. Set 'registryServiceConnection', or log in by Docker@2.`);
  return dockerConfig(logins, existing);
}

function parseConfig(file: string): DockerConfig {
  try {
    const config = JSON.parse(fs.readFileSync(file, 'utf8')) as unknown;
    if (typeof config !== 'object' || config === null) throw new Error('it is not an object');
    return config as DockerConfig;
  } catch (error) {
    throw new UserError(`The registry logins in ${file} (DOCKER_CONFIG) cannot be read`, 'Repeat the `Docker@2 login` step, or unset DOCKER_CONFIG.', { cause: error });
  }
}

function conclude(agent: Agent, inputs: KanikoInputs, end: BuildEnd): TaskOutcome {
  if (end.exitCode !== 0) {
    const { cause, remedy } = executorFailure(end);
    throw new UserError(`The image ${inputs.destination} could not be built: ${cause}`, remedy);
  }
  const digest = end.message.trim();
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new UserError(`The executor ended well but told no digest of ${inputs.destination}`, "Check that 'executorImage' is a Kaniko executor.");
  }
  const image = `${inputs.destination.replace(/:[^:/]+$/, '')}@${digest}`;
  agent.setOutput('digest', digest);
  agent.setOutput('image', image);
  return { result: 'Succeeded', message: `Pushed ${inputs.destination} (${digest}) in ${formatDuration(end.durationMs)}.` };
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB'];
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`;
}
