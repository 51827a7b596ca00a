import assert from 'node:assert/strict';
import type { AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import { CONTRACT_DIR, contractRecorder, type ContractRecorder } from './contractRecorder';

/**
 * Call within a describe: once its tests have run, all that went over the wire has to keep to the official contract.
 * @returns what attaches a simulator
 */
export function checkedContract(): { attach(simulator: AzureDevOpsSimulator): void } {
  let recorder: ContractRecorder | undefined;
  if (!CONTRACT_DIR) it('keeps to the official contract (not checked: set ADO_CONTRACT_DIR, see docs/development.md)');
  before(async () => {
    if (CONTRACT_DIR) recorder = await contractRecorder(CONTRACT_DIR);
  });
  after(() => {
    if (!recorder) return;
    assert.ok(recorder.exchanges > 0, 'no exchange was recorded');
    assert.deepEqual(recorder.violations, []);
  });
  return { attach: (simulator) => void recorder?.attach(simulator) };
}
