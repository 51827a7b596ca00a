import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskOutcome } from '../core/agent/agent';
import { referenceKey } from '../core/kubernetes/objectReference';
import type { GuardedRelease } from './guardedRelease';
import { currentState, historyLines, historyRows, historySummary } from './releaseHistory';

/** `action: status`: shows the recorded releases and what runs now. It takes no lock and only reads. */
export async function showStatus(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent, inputs, namespace, store, signal } = release;
  const records = await store.list(signal);
  const live = await release.readRecorded(records);
  // Neither the workload nor a record of it: more likely a wrong name.
  const { workload } = release;
  if (workload && records.length === 0 && live.get(referenceKey(workload)) === undefined) await release.missing(workload);
  const rows = historyRows(records, live);
  const { image, sentence } = currentState(release.name, records, live);
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
