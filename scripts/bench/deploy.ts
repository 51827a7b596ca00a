import type { Benchmark } from './benchmark';
import { measureApply } from './deploy/apply';
import { measureRollback } from './deploy/rollback';
import { DeploySetting } from './deploy/setting';
import { measureSuccess } from './deploy/success';
import { measureTraffic } from './deploy/traffic';

/** DeployWithRollbackGuard on a real cluster against what pipelines run without it: kubectl. */
export const deploy: Benchmark = {
  async run({ quick, note, signal }) {
    const setting = await DeploySetting.open(signal, note);
    try {
      const pairs = quick ? 7 : 15;
      const success = await measureSuccess(setting, pairs);
      const apply = await measureApply(setting, pairs);
      const rollback = await measureRollback(setting, pairs);
      const traffic = await measureTraffic(setting);
      return {
        comparisons: { successVsKubectl: success.comparison, apply20VsKubectl: apply, rollbackVsKubectlUndo: rollback },
        metrics: { ...success.metrics, ...traffic.metrics },
        notes: traffic.notes,
      };
    } finally {
      await setting.close();
    }
  },
};
