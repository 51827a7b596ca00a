import type { Comparison, Metric } from '../benchmark';
import { interleave, percentile } from '../statistics';
import type { DeploySetting } from './setting';
import { idleDeployment, ObservedNamespace } from './workload';

/**
 * A new image of one Deployment that succeeds: the task's main process, with record, lock and verdicts, against
 * `kubectl set image` and `kubectl rollout status` one after the other. Both change the same Deployment, from one of two
 * images to the other; nothing of the rollout before is left when a measurement begins.
 */
export async function measureSuccess(setting: DeploySetting, pairs: number): Promise<{ comparison: Comparison; metrics: Record<string, Metric> }> {
  const namespace = await setting.createNamespace('success');
  await setting.apply(namespace, [idleDeployment('web', setting.images[0], 2)]);
  const observed = new ObservedNamespace(setting, namespace);
  let current = 0;
  const next = async (share: number): Promise<string> => {
    await observed.settled(setting.images[current] ?? '');
    await observed.inPhase(share);
    current = 1 - current;
    return setting.images[current] ?? '';
  };
  const exits = { ours: [] as number[], theirs: [] as number[] };
  try {
    const ours = async (share: number): Promise<number> => {
      const image = await next(share);
      const completed = observed.rolledOut(image);
      const end = await setting.deploy({ namespace, inputs: { workload: 'deployment/web', image } });
      exits.ours.push(end.endedAt - (await completed));
      await end.finish();
      return end.endedAt - end.startedAt;
    };
    const theirs = async (share: number): Promise<number> => {
      const image = await next(share);
      const completed = observed.rolledOut(image);
      const { startedAt } = await setting.require(['-n', namespace, 'set', 'image', 'deployment/web', `app=${image}`]);
      const { endedAt } = await setting.require(['-n', namespace, 'rollout', 'status', 'deployment/web']);
      exits.theirs.push(endedAt - (await completed));
      return endedAt - startedAt;
    };
    const measured = await interleave(pairs, ours, theirs, (pair, own, other) => setting.note(`success ${pair}/${pairs}: ${own.toFixed(0)} ms, kubectl ${other.toFixed(0)} ms`));
    return {
      comparison: { ...measured, unit: 'ms', against: 'kubectl set image + rollout status', target: { atMost: 1.1 } },
      metrics: {
        exitLatencyP95Ms: { value: percentile(exits.ours.slice(1), 95), unit: 'ms', target: { atMost: 250 } },
        exitLatencyP95MsKubectl: { value: percentile(exits.theirs.slice(1), 95), unit: 'ms' },
      },
    };
  } finally {
    await observed.close();
  }
}
