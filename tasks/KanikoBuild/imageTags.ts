import type { Agent } from '../core/agent/agent';

const MAX_LENGTH = 128;

/**
 * The tags of an image where the step names none: the run's id, the branch, pull request or Git tag, and the commit. Each
 * is made valid, so that any branch can be built.
 */
export function runTags(agent: Pick<Agent, 'variable'>): string[] {
  const id = agent.variable('Build.BuildId') ?? agent.variable('Release.ReleaseId');
  const isTfvc = agent.variable('Build.Repository.Provider') === 'TfsVersionControl';
  const branch = agent.variable('Build.SourceBranch');
  const version = agent.variable('Build.SourceVersion');
  // A changeset is a bare number, as the id of a run is.
  const commit = isTfvc && version ? `C${version.replace(/^C/i, '')}` : version;
  const tags = [id, branch && refName(branch), commit].map((tag) => (tag ? validTag(tag) : ''));
  return [...new Set(tags.filter((tag) => tag !== ''))];
}

/** `refs/heads/feature/x` → `feature/x`, `refs/tags/v1` → `v1`, `refs/pull/12/merge` → `pr-12`, `$/Shop/main` → `Shop/main`. */
function refName(ref: string): string {
  const pull = /^refs\/pull\/(\d+)\//.exec(ref);
  return pull ? `pr-${pull[1]}` : ref.replace(/^refs\/(?:heads|tags|remotes)\//, '').replace(/^\$\//, '');
}

/** Any text as a tag: letters, digits, `_`, `.` and `-`, not more than 128; '' where nothing is left. */
export function validTag(text: string): string {
  return text
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, MAX_LENGTH)
    .replace(/-+$/, '');
}
