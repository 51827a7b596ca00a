import { referenceKey } from '../../../tasks/core/kubernetes/objectReference';
import type { Deployment, KubernetesObject } from '../../../tasks/core/kubernetes/objects';
import type { LiveObjects } from '../../../tasks/DeployWithRollbackGuard/releaseDecision';
import type { ReleaseRecord, ReleaseState } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';

const UID = 'uid-1';
/** The one workload of the release `web`. */
export const WEB = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'web' };
export const WEB_KEY = referenceKey(WEB);

/** The Deployment `web` with these images by container. */
export function deployment(images: Record<string, string>, more: { uid?: string; env?: string } = {}): Deployment {
  const containers = Object.entries(images).map(([name, image]) => ({ name, image, ...(more.env ? { env: [{ name: 'MODE', value: more.env }] } : {}) }));
  return {
    metadata: { name: 'web', namespace: 'shop', uid: more.uid ?? UID },
    spec: { selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers } } },
  };
}

/** What runs where the release is of one Deployment. */
export function live(object: KubernetesObject | undefined): LiveObjects {
  return new Map([[WEB_KEY, object]]);
}

/** A record of the release `web`, its templates as {@link deployment} makes them. */
export function record(
  number: number,
  state: ReleaseState,
  applied: Record<string, string>,
  target: Record<string, string>,
  more: { run?: string; uid?: string } & Partial<Pick<ReleaseRecord, 'targetNumber' | 'rollback' | 'supersededBy' | 'failureReason' | 'objects'>> = {},
): ReleaseRecord {
  const { run = 'run-a', uid = UID, ...rest } = more;
  return {
    schema: 1,
    release: 'web',
    namespace: 'shop',
    number,
    state,
    run: { key: run, hostType: 'build', organization: '', project: '', pipeline: 'web', name: run, attempt: 1, stage: '', job: '', url: undefined },
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: '2026-01-01T00:00:00Z',
    objects: [
      {
        ref: WEB,
        uid,
        created: false,
        applied: { kind: 'images', images: applied, template: deployment(applied).spec.template },
        target: { kind: 'images', images: target, template: deployment(target).spec.template },
      },
    ],
    onFirstDeploy: 'keep',
    ...rest,
  };
}

/** The record of a process that was killed before it heard the API server's answer. */
export function unheard(one: ReleaseRecord): ReleaseRecord {
  return {
    ...one,
    objects: one.objects.map((object) => {
      if (object.applied.kind !== 'images') return object;
      return { ...object, applied: { kind: 'images', images: object.applied.images } };
    }),
  };
}
