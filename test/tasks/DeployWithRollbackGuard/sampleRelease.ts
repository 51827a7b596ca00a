import type { Deployment } from '../../../tasks/core/kubernetes/objects';
import type { ReleaseRecord, ReleaseState } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';

const UID = 'uid-1';

/** The Deployment `web` with these images by container. */
export function deployment(images: Record<string, string>, more: { uid?: string; env?: string } = {}): Deployment {
  const containers = Object.entries(images).map(([name, image]) => ({ name, image, ...(more.env ? { env: [{ name: 'MODE', value: more.env }] } : {}) }));
  return {
    metadata: { name: 'web', namespace: 'shop', uid: more.uid ?? UID },
    spec: { selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers } } },
  };
}

/** A record of the release `web`, its templates as {@link deployment} makes them. */
export function record(
  number: number,
  state: ReleaseState,
  applied: Record<string, string>,
  target: Record<string, string>,
  more: { run?: string; uid?: string } & Partial<Pick<ReleaseRecord, 'targetNumber' | 'rollback' | 'supersededBy' | 'failureReason'>> = {},
): ReleaseRecord {
  const { run = 'run-a', uid = UID, ...rest } = more;
  return {
    schema: 1,
    release: 'web',
    number,
    state,
    run: { key: run, hostType: 'build', organization: '', project: '', pipeline: 'web', name: run, attempt: 1, stage: '', job: '', url: undefined },
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: '2026-01-01T00:00:00Z',
    workload: { kind: 'Deployment', namespace: 'shop', name: 'web', uid },
    applied: { images: applied, template: deployment(applied).spec.template },
    target: { images: target, template: deployment(target).spec.template },
    ...rest,
  };
}
