import type { Agent } from '../core/agent/agent';
import { pipelineRun } from '../core/agent/pipelineRun';

const PREFIX = 'org.opencontainers.image';

/**
 * Labels by the annotations of the OCI image specification that tell where an image comes from. Those that differ between
 * runs of the same sources are left out where the same sources shall give the same digest.
 */
export function runImageLabels(agent: Pick<Agent, 'variable'>, created: Date, { reproducible }: { reproducible: boolean }): Record<string, string> {
  const run = pipelineRun(agent);
  const ref = agent.variable('Build.SourceBranch') ?? '';
  const ofSources = {
    source: withoutCredentials(agent.variable('Build.Repository.Uri')),
    revision: agent.variable('Build.SourceVersion'),
  };
  const ofRun = {
    created: created.toISOString().replace(/\.\d+Z$/, 'Z'),
    version: /^refs\/tags\/(.+)$/.exec(ref)?.[1] ?? (run.name || undefined),
    url: run.url,
  };
  const labels = { ...ofSources, ...(reproducible ? {} : ofRun) };
  return Object.fromEntries(Object.entries(labels).flatMap(([name, value]) => (value ? [[`${PREFIX}.${name}`, value]] : [])));
}

/** A repository's address may have a user in it, or even a token. */
function withoutCredentials(address: string | undefined): string | undefined {
  if (!address || !URL.canParse(address)) return address;
  const url = new URL(address);
  if (!url.username && !url.password) return address;
  url.username = '';
  url.password = '';
  return url.href;
}
