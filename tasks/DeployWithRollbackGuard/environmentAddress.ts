import { isForbidden, type ApiError } from '../core/kubernetes/apiError';
import { referenceOf } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { observe } from '../core/kubernetes/watch';
import { timeLimit } from '../core/time/timeLimit';
import type { ChangedObject } from './awaitRollouts';
import { awaitsAddress, environmentUrl } from './environmentUrl';
import type { GuardedRelease } from './guardedRelease';

/** Clouds give a load balancer its address within this time, or there is something wrong with it. */
const ADDRESS_WITHIN_MS = 120_000;

/** Where the release can be reached; an address that a load balancer is just getting is waited for. */
export async function environmentUrlOf(release: GuardedRelease, changed: readonly ChangedObject[]): Promise<string | undefined> {
  const objects = changed.map(({ object }) => object);
  const known = environmentUrl(objects);
  const waiting = known === undefined ? awaitsAddress(objects) : undefined;
  if (!waiting) return known;
  const { name } = waiting.metadata;
  release.agent.info(`Waiting for the address of service/${name}.`);
  const found = await awaitAddress(release, waiting).catch((error: unknown) => {
    if (!isForbidden(error)) throw error;
    release.agent.warning(`The address of service/${name} cannot be awaited, so 'environmentUrl' is not set: ${(error as ApiError).message}`);
    return 'forbidden' as const;
  });
  if (found === 'forbidden') return undefined;
  if (found === undefined) release.agent.warning(`service/${name} got no address within ${ADDRESS_WITHIN_MS / 1000} s, so 'environmentUrl' is not set.`);
  return found;
}

async function awaitAddress({ client, kinds, signal, inputs }: GuardedRelease, service: KubernetesObject): Promise<string | undefined> {
  const ref = referenceOf(service);
  const path = await kinds.collectionPath(ref.apiVersion, ref.kind, ref.namespace);
  const done = new AbortController();
  let url: string | undefined;
  const until = AbortSignal.any([signal, done.signal, timeLimit(Math.min(ADDRESS_WITHIN_MS, inputs.timeoutMs))]);
  await observe(client, path, { fieldSelector: `metadata.name=${ref.name}`, signal: until }, (items) => {
    url = environmentUrl(items.map((item) => ({ ...item, kind: ref.kind })));
    if (url !== undefined) done.abort(new Error('found'));
  });
  signal.throwIfAborted();
  return url;
}
