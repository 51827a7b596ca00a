import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Agent, TaskOutcome } from '../core/agent/agent';
import { disarmLine } from '../core/agent/disarm';
import { UserError } from '../core/agent/userError';
import { openJunitReport } from '../core/report/junitReport';
import { formatDuration } from '../core/time/clock';
import { TimeLimit } from '../core/time/timeLimit';
import { readCollection, secretNames, type CollectionFile } from './collectionFile';
import { readEnvironment, withVariables, type EnvironmentFile } from './environmentFile';
import { closingLine, failureLine, failureReason, gateSummary, p95Milliseconds, type GateResult } from './gateSummary';
import { probeUrl } from './httpProbe';
import { readInputs, TARGET_VARIABLE, type GateInputs } from './inputs';
import { readIterationData, type IterationData } from './iterationData';
import type { NewmanRun } from './newmanEvents';
import { openTarget } from './openTarget';
import { ProxyEnvironment } from './proxyEnvironment';
import { Redactor } from './redaction';
import { ResultCollector, type Failure } from './resultCollector';
import { loadNewman, runNewman } from './runNewman';
import { waitUntilReady } from './waitUntilReady';

interface Files {
  readonly collection: CollectionFile;
  readonly environment: EnvironmentFile | undefined;
  readonly iterationData: IterationData | undefined;
}

/** What the summary shows; the log and the JUnit report have all of them. */
const MOST_FAILURES_KEPT = 50;
const LONGEST_CONSOLE_LINE = 2000;

/** The gate: waits until the service is ready, runs the collection, publishes what came of it. */
export async function runGate(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  try {
    const inputs = readInputs(agent);
    const files = await readFiles(inputs);
    const result = await runAgainstTarget(agent, inputs, files, signal);
    return conclude(agent, result);
  } catch (error) {
    agent.setOutput('outcome', 'failed');
    agent.setOutput('failureReason', error instanceof UserError ? error.message : 'The gate itself failed; see its log.');
    throw error;
  }
}

async function readFiles(inputs: GateInputs): Promise<Files> {
  return {
    collection: await readCollection(inputs.collection, inputs.folder),
    environment: inputs.environment === undefined ? undefined : await readEnvironment(inputs.environment),
    iterationData: inputs.iterationData === undefined ? undefined : await readIterationData(inputs.iterationData),
  };
}

async function runAgainstTarget(agent: Agent, inputs: GateInputs, files: Files, signal: AbortSignal): Promise<GateResult> {
  // newman takes a third of a second to load: that time passes while the cluster answers.
  const [target, newman] = await Promise.all([inputs.target && openTarget(inputs.target, agent, signal), loadNewman()]);
  try {
    await waitForService(agent, inputs, target?.url, signal);
    return await runCollection(newman, agent, inputs, files, target?.url, signal);
  } finally {
    await target?.close();
  }
}

async function waitForService(agent: Agent, inputs: GateInputs, targetUrl: string | undefined, signal: AbortSignal): Promise<void> {
  const { waitForUrl, target, waitTimeoutMs, insecure } = inputs;
  const url = waitForUrl?.startsWith('/') ? `${targetUrl}${waitForUrl}` : (waitForUrl ?? (targetUrl && `${targetUrl}/`));
  if (url === undefined) return;
  const below = waitForUrl?.startsWith('/') ?? true;
  const what = target && below ? `${target.text}${waitForUrl ?? ''} in namespace ${target.namespace}` : new Redactor().redactUrl(url);
  const network = below ? { proxyUrl: undefined, caFile: undefined } : agent.network(url);
  await waitUntilReady(
    {
      what,
      anyAnswer: waitForUrl === undefined,
      timeoutMs: waitTimeoutMs,
      probe: async (timeoutMs, abort) => {
        const found = await probeUrl(url, { timeoutMs, insecure, network, signal: abort });
        // A forward resets what it cannot pass on.
        return 'error' in found && target && below ? { error: `${found.error} (no pod is ready, or none listens on this port)` } : found;
      },
    },
    agent,
    signal,
  );
}

async function runCollection(
  newman: NewmanRun,
  agent: Agent,
  inputs: GateInputs,
  files: Files,
  targetUrl: string | undefined,
  signal: AbortSignal,
): Promise<GateResult> {
  const { collection, iterationData } = files;
  const environment = withVariables(files.environment, new Map([...(targetUrl ? [[TARGET_VARIABLE, targetUrl] as const] : []), ...inputs.variables]));
  const names = {
    environment: environment.values.filter(({ type }) => type === 'secret').map(({ key }) => key),
    collection: secretNames(collection.definition['variable']),
  };
  const redactor = new Redactor([...agent.secretValues, ...declaredSecrets(environment.values, collection, names)]);
  const name = redactor.redact(collection.name);

  const reportFile = join(agent.tempDirectory, `newman-gate-${randomUUID()}.xml`);
  await mkdir(agent.tempDirectory, { recursive: true });
  const report = await openJunitReport(reportFile, name);
  const failures: Failure[] = [];
  const collector = new ResultCollector(collection.name, redactor, {
    failure: (failure) => {
      if (failures.length < MOST_FAILURES_KEPT) failures.push(failure);
      agent.info(`✗ ${oneLine(failureLine(failure))}`);
    },
    suite: (suite) => report.add(suite),
  });
  const proxies = new ProxyEnvironment(agent, process.env);
  const iterations = Array.isArray(iterationData) ? `, ${iterationData.length} iterations` : '';
  agent.info(`Running the collection '${name}' (${collection.requests} requests${iterations}).`);

  const limit = new TimeLimit(inputs.timeoutMs);
  const started = Date.now();
  let shownProgress = 0;
  let runProblem: string | undefined;
  try {
    await runNewman(
      newman,
      {
        collection,
        environment,
        iterationData,
        folder: inputs.folder,
        workingDirectory: agent.workingDirectory,
        requestTimeoutMs: inputs.requestTimeoutMs,
        timeoutMs: inputs.timeoutMs,
        insecure: inputs.insecure,
        caFile: agent.network(targetUrl ?? 'https://localhost').caFile,
        secretNames: names,
      },
      collector,
      redactor,
      {
        console: (level, text) => agent.info(`console.${level}: ${text.slice(0, LONGEST_CONSOLE_LINE)}`),
        progress: (share) => {
          const percent = Math.floor(share * 20) * 5;
          if (percent > shownProgress) agent.progress((shownProgress = percent), `${collector.totals.requests} requests, ${collector.failures} failures`);
        },
        beforeRequest: (url) => proxies.prepare(url),
        afterScript: () => limit.look(),
      },
      AbortSignal.any([signal, limit.signal]),
    );
    if (signal.aborted) runProblem = 'it was canceled before its end';
    else if (limit.signal.aborted) runProblem = `the collection did not end within ${formatDuration(inputs.timeoutMs)} (input 'timeout')`;
    if (runProblem !== undefined) collector.breakOff(runProblem);
  } finally {
    report.close();
  }

  const result: GateResult = {
    collection: name,
    totals: collector.totals,
    failureCount: collector.failures,
    failures,
    times: [...collector.times.values()],
    durationMs: Date.now() - started,
    runProblem,
  };
  await publish(agent, inputs, result, reportFile);
  return result;
}

function declaredSecrets(environment: readonly { key: string; value: unknown; type: string }[], collection: CollectionFile, names: { collection: readonly string[] }): string[] {
  const variables = collection.definition['variable'];
  const ofCollection = (Array.isArray(variables) ? variables : []) as { key?: unknown; value?: unknown }[];
  return [
    ...environment.filter(({ type }) => type === 'secret').map(({ value }) => value),
    ...ofCollection.filter(({ key }) => names.collection.includes(String(key))).map(({ value }) => value),
  ].filter((value): value is string => typeof value === 'string');
}

async function publish(agent: Agent, inputs: GateInputs, result: GateResult, reportFile: string): Promise<void> {
  const { totals } = result;
  agent.setOutput('failures', String(result.failureCount));
  agent.setOutput('requests', String(totals.requests));
  agent.setOutput('tests', String(totals.tests));
  agent.setOutput('p95Ms', String(p95Milliseconds(result.times) ?? ''));
  agent.setOutput('reportFile', reportFile);
  const summaryFile = join(agent.tempDirectory, `${fileName(result.collection)}-${randomUUID()}.md`);
  await writeFile(summaryFile, gateSummary(result));
  agent.uploadSummary(summaryFile);
  if (!inputs.publishResults) return;
  try {
    agent.publishTestResults({ files: [reportFile], title: inputs.testRunTitle ?? result.collection });
  } catch (error) {
    // What the tests found stands, published or not.
    agent.warning(error instanceof Error ? error.message : String(error));
  }
}

function conclude(agent: Agent, result: GateResult): TaskOutcome {
  const reason = failureReason(result);
  agent.section(`${reason === undefined ? 'Passed' : 'Failed'}: ${closingLine(result)}`);
  agent.setOutput('outcome', reason === undefined ? 'passed' : 'failed');
  agent.setOutput('failureReason', reason === undefined ? '' : oneLine(reason));
  if (reason === undefined) return { result: 'Succeeded', message: `The gate is open: ${closingLine(result)}.` };
  return { result: 'Failed', message: `The gate stays closed: ${oneLine(reason)}` };
}

function oneLine(text: string): string {
  const line = disarmLine(text);
  return line.length > 1000 ? `${line.slice(0, 1000)}…` : line;
}

/** The agent shows a summary under the name of its file. */
function fileName(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 40).replace(/^-+|-+$/g, '') || 'newman-gate';
}
