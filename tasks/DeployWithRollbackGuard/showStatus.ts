import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskOutcome } from '../core/agent/agent';
import type { GuardedWorkload } from './guardedWorkload';
import { currentState, historyLines, historyRows, historySummary } from './releaseHistory';

/** `action: status`: shows the recorded releases and what runs now. It takes no lock and only reads. */
export async function showStatus(workload: GuardedWorkload): Promise<TaskOutcome> {
  const { agent, inputs, namespace, store, signal } = workload;
  const [found, records] = await Promise.all([workload.find(), store.list(signal)]);
  // Neither the workload nor a record of it: more likely a wrong name, which reading it tells.
  const live = found ?? (records.length === 0 ? await workload.read() : undefined);
  const rows = historyRows(records, live);
  const { image, sentence } = currentState(workload.name, records, live);
  const title = `Releases of '${inputs.releaseName}' in namespace ${namespace}`;
  agent.section(title);
  agent.info(rows.length > 0 ? historyLines(rows).join('\n') : `No release of '${inputs.releaseName}' is recorded.`);

  const latest = records.at(-1);
  agent.setOutput('currentImage', image);
  agent.setOutput('outcome', latest?.state ?? 'nothingRecorded');
  if (latest) agent.setOutput('releaseNumber', String(latest.number));
  const file = join(agent.tempDirectory, `release-guard-status-${randomUUID()}.md`);
  await writeFile(file, historySummary(title, sentence, rows));
  agent.uploadSummary(file);
  return { result: 'Succeeded', message: sentence };
}
