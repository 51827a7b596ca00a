import type { TaskOutcome } from '../core/agent/agent';
import { objectDiff } from '../core/kubernetes/objectDiff';
import { referenceKey, referenceName, type ObjectReference } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { sideBySide, type GuardedRelease } from './guardedRelease';
import type { DeployInputs } from './inputs';
import { previewChanges, type Preview } from './previewChanges';
import { imagePatch, releasePlan, type LiveObjects, type Wanted } from './releaseDecision';
import { readNamespace } from './releaseNamespace';
import { readSight } from './releaseSight';
import type { ReleaseSource } from './releaseSource';

/** `dryRun: true`: shows what a deploy would change, as the API server sees it, and changes nothing. */
export async function showChanges(release: GuardedRelease, inputs: DeployInputs, source: ReleaseSource): Promise<TaskOutcome> {
  const { agent, run } = release;
  agent.setOutput('outcome', 'dryRun');
  if (inputs.createNamespace && (await readNamespace(release)) === undefined) {
    return { result: 'Succeeded', message: `Namespace '${release.namespace}' and ${source.refs.length} objects would be created (dry run); nothing was changed.` };
  }
  const { records, live } = await readSight(release, source);
  const wanted = await source.wanted(live);
  const prune = inputs.source.kind !== 'image' && inputs.source.objects.prune;
  const plan = releasePlan(records, live, { release: inputs.releaseName, runKey: run.key, wanted, onUnverified: 'takeOver', waited: true, prune });
  const pruned = plan.kind === 'deploy' ? plan.objects.filter(({ applied, ref }) => applied.kind === 'absent' && live.get(referenceKey(ref))) : [];
  const previews: Preview[] = [
    ...(await previewImages(release, wanted, live)),
    ...(await previewChanges(release, wanted.filter(({ ref }) => !source.unborn.has(referenceKey(ref))), live)),
    ...wanted.filter(({ ref }) => source.unborn.has(referenceKey(ref))).map(({ ref }) => ({ ref, before: undefined, after: undefined })),
  ];
  let changes = 0;
  for (const { ref, before, after } of previews) {
    const lines = after === undefined ? ['(it cannot be asked about before its namespace or kind exists)'] : objectDiff(before, after);
    if (lines.length > 0) changes++;
    if (lines.length > 0) agent.group(`${before ? 'Would change' : 'Would create'} ${nameIn(ref, release)}`, lines);
  }
  for (const { ref } of pruned) agent.info(`Would delete ${nameIn(ref, release)}`);
  const same = previews.length - changes;
  const total = changes + pruned.length;
  return { result: 'Succeeded', message: `${total} ${total === 1 ? 'object' : 'objects'} would change, ${same} would stay (dry run); nothing was changed.` };
}

async function previewImages(release: GuardedRelease, wanted: readonly Wanted[], live: LiveObjects): Promise<Preview[]> {
  const images = wanted.filter((each): each is Extract<Wanted, { images: unknown }> => 'images' in each);
  return sideBySide(images, async ({ ref, images: changes }) => {
    const before = live.get(referenceKey(ref)) as KubernetesObject;
    const after = await release.client.patch<KubernetesObject>(await release.kinds.path(ref), 'json', imagePatch(before, changes), { query: { dryRun: 'All' }, signal: release.signal });
    return { ref, before, after };
  });
}

function nameIn(ref: ObjectReference, release: GuardedRelease): string {
  return ref.namespace === undefined || ref.namespace === release.namespace ? referenceName(ref) : `${referenceName(ref)} in namespace ${ref.namespace}`;
}
