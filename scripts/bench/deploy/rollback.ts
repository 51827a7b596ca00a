import type { Comparison } from '../benchmark';
import { interleave } from '../statistics';
import type { DeploySetting } from './setting';
import { idleDeployment, ObservedNamespace } from './workload';

/**
 * An image that does not exist, from the moment a pod says so until the old version is available again in full: the
 * task, which has to notice it, fetch the reasons and roll back, against `kubectl rollout undo` and `rollout status` by
 * somebody who knew at once. Some of the old pods are gone by then, so both wait for new ones.
 */
export async function measureRollback(setting: DeploySetting, pairs: number): Promise<Comparison> {
  const namespace = await setting.createNamespace('rollback');
  const [good] = setting.images;
  await setting.apply(namespace, [idleDeployment('web', good, 4)]);
  const observed = new ObservedNamespace(setting, namespace);
  try {
    const ours = async (share: number): Promise<number> => {
      await observed.settled(good);
      await observed.inPhase(share);
      const image = setting.missingImage();
      const failed = observed.pullFailed(image);
      const end = await setting.deploy({ namespace, inputs: { workload: 'deployment/web', image } }, 'rolledBack');
      await observed.rolledOut(good);
      return end.endedAt - (await failed);
    };
    const theirs = async (share: number): Promise<number> => {
      await observed.settled(good);
      await observed.inPhase(share);
      const image = setting.missingImage();
      await setting.require(['-n', namespace, 'set', 'image', 'deployment/web', `app=${image}`]);
      const failedAt = await observed.pullFailed(image);
      await setting.require(['-n', namespace, 'rollout', 'undo', 'deployment/web']);
      const { endedAt } = await setting.require(['-n', namespace, 'rollout', 'status', 'deployment/web']);
      return endedAt - failedAt;
    };
    const measured = await interleave(pairs, ours, theirs, (pair, own, other) => setting.note(`rollback ${pair}/${pairs}: ${own.toFixed(0)} ms, kubectl ${other.toFixed(0)} ms`));
    return { ...measured, unit: 'ms', against: 'kubectl rollout undo + rollout status', target: { atMost: 1.2 } };
  } finally {
    await observed.close();
  }
}
