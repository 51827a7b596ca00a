import type { TaskOutcome } from '../core/agent/agent';
import { applyPhases } from '../core/kubernetes/applyOrder';
import { referenceKey, referenceName } from '../core/kubernetes/objectReference';
import type { Secret } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { sideBySide, GuardedRelease } from './guardedRelease';
import type { DestroyInputs } from './inputs';
import { ChangedMeanwhileError } from './putState';
import { isOurs, readNamespace } from './releaseNamespace';
import { EXPIRES_LABEL, RELEASE_LABEL, type ReleaseObject, type ReleaseRecord } from './releaseRecord';

/** `action: destroy`: deletes what a release has made, or every release whose time has passed. */
export function destroy(release: GuardedRelease, inputs: DestroyInputs): Promise<TaskOutcome> {
  return inputs.selector === undefined ? destroyOne(release) : destroyStale(release, inputs, inputs.selector);
}

async function destroyOne(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent } = release;
  const { deleted, kept, namespace } = await release.locked(() => destroyRelease(release));
  agent.setOutput('outcome', deleted > 0 || namespace ? 'destroyed' : 'nothingToDestroy');
  const name = `release '${release.inputs.releaseName}' in namespace '${release.namespace}'`;
  if (namespace) return { result: 'Succeeded', message: `The ${name} is destroyed, with its namespace.` };
  if (deleted === 0 && kept.length === 0) return { result: 'Succeeded', message: `There is nothing of a ${name}; nothing was changed.` };
  const rest = kept.length === 0 ? '' : ` Left, as they were there before it: ${kept.join(', ')}.`;
  return { result: 'Succeeded', message: `${deleted} objects of the ${name} are deleted.${rest}` };
}

/** What became of a release; `kept` are objects that it found and did not create. */
interface Destroyed {
  readonly deleted: number;
  readonly kept: readonly string[];
  readonly namespace: boolean;
}

/** The caller holds the lock. */
async function destroyRelease(release: GuardedRelease): Promise<Destroyed> {
  const { agent, client, store, signal, namespace: name } = release;
  const records = await store.list(signal);
  const namespace = await readNamespace(release);
  const isWhole = namespace !== undefined && namespace !== 'unreadable' && isOurs(namespace, release.inputs.releaseName);
  // Together with the namespace goes all that is in it, the records as well: those last, so that a broken-off run can be tried again.
  const objects = objectsOf(records).filter(({ ref }) => !(isWhole && ref.namespace === name));
  const [deleted, kept] = await deleteObjects(release, objects);
  if (isWhole) {
    await client.delete(resourcePath('namespaces', { name }), { body: { preconditions: { uid: namespace.metadata.uid } }, signal });
    agent.info(`Namespace '${name}' is being deleted.`);
  } else {
    for (const record of records) await store.remove(record.number, signal);
    await store.tidy(signal);
  }
  return { deleted, kept, namespace: isWhole };
}

/** Each object once, as the latest release knew it, but as created where any release created it. */
function objectsOf(records: readonly ReleaseRecord[]): ReleaseObject[] {
  const all = records.flatMap((record) => record.objects);
  const latest = new Map(all.map((object) => [referenceKey(object.ref), object]));
  const created = new Map(all.filter((object) => object.created && object.uid !== '').map((object) => [`${referenceKey(object.ref)} ${object.uid}`, true]));
  return [...latest].map(([key, object]) => ({ ...object, created: object.created || created.has(`${key} ${object.uid}`) }));
}

async function deleteObjects(release: GuardedRelease, objects: readonly ReleaseObject[]): Promise<[deleted: number, kept: string[]]> {
  const { agent, writer } = release;
  const kept: string[] = [];
  let deleted = 0;
  for (const phase of applyPhases(objects, ({ ref }) => ref).toReversed()) {
    await sideBySide(phase, async ({ ref, uid, created }) => {
      const live = await writer.read(ref);
      if (!live) return;
      if (!created || (uid !== '' && live.metadata.uid !== uid)) {
        kept.push(referenceName(ref));
        return;
      }
      await writer.delete(ref, live).catch((error: unknown) => {
        if (!(error instanceof ChangedMeanwhileError)) throw error;
        kept.push(referenceName(ref));
      });
      deleted++;
      agent.info(`Deleted ${referenceName(ref)}.`);
    });
  }
  return [deleted, kept];
}

/** Destroys all releases that the selector matches and whose `ttl` has passed; others are never touched. */
async function destroyStale(release: GuardedRelease, inputs: DestroyInputs, selector: string): Promise<TaskOutcome> {
  const { agent, client, signal } = release;
  // Without a namespace in the inputs, those of all namespaces.
  const path = inputs.namespace === undefined ? resourcePath('secrets') : resourcePath('secrets', { namespace: inputs.namespace });
  const list = await client.list<Secret>(path, { query: { labelSelector: [EXPIRES_LABEL, RELEASE_LABEL, selector].filter(Boolean).join(',') }, signal });
  const found = staleReleases(list.items, Date.now());
  const failed: string[] = [];
  for (const { namespace, name } of found) {
    agent.section(`Release '${name}' in namespace '${namespace}'`);
    const stale = GuardedRelease.on(client, namespace, agent, { ...inputs, releaseName: name }, signal);
    const end = await stale.locked(() => destroyRelease(stale)).catch((error: unknown) => {
      signal.throwIfAborted();
      agent.warning(`Release '${name}' in namespace '${namespace}' could not be destroyed: ${error instanceof Error ? error.message : String(error)}`);
      failed.push(`${namespace}/${name}`);
      return undefined;
    });
    if (end?.kept.length) agent.info(`Left, as they were there before it: ${end.kept.join(', ')}.`);
  }
  const done = found.length - failed.length;
  agent.setOutput('outcome', done > 0 ? 'destroyed' : 'nothingToDestroy');
  if (failed.length > 0) return { result: 'Failed', message: `${failed.length} of ${found.length} stale releases could not be destroyed: ${failed.join(', ')}.` };
  return { result: 'Succeeded', message: found.length === 0 ? 'No release is stale; nothing was changed.' : `${done} stale ${done === 1 ? 'release is' : 'releases are'} destroyed.` };
}

/** Releases whose latest record says that their time has passed: each deploy puts it off. */
export function staleReleases(heads: readonly Secret[], now: number): { readonly namespace: string; readonly name: string }[] {
  const latest = new Map<string, { namespace: string; name: string; expires: number }>();
  for (const { metadata } of heads) {
    const namespace = metadata.namespace ?? '';
    const name = metadata.labels?.[RELEASE_LABEL] ?? '';
    const expires = Number(metadata.labels?.[EXPIRES_LABEL]) * 1000;
    const key = `${namespace}/${name}`;
    if (Number.isFinite(expires) && expires > (latest.get(key)?.expires ?? 0)) latest.set(key, { namespace, name, expires });
  }
  return [...latest.values()].filter(({ expires }) => expires < now).map(({ namespace, name }) => ({ namespace, name }));
}
