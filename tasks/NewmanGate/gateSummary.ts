import { markdownTable, markdownText } from '../core/report/markdown';
import { formatDuration } from '../core/time/clock';
import { percentile, type Failure, type ItemTimes, type Totals } from './resultCollector';

export interface GateResult {
  readonly collection: string;
  readonly totals: Totals;
  /** Number of all failures; the list may be shorter. */
  readonly failureCount: number;
  readonly failures: readonly Failure[];
  readonly times: readonly ItemTimes[];
  readonly durationMs: number;
  /** Why the run itself ended badly, such as a timeout; undefined where it went through. */
  readonly runProblem: string | undefined;
}

const MOST_FAILURES_SHOWN = 50;
const MOST_REQUESTS_SHOWN = 20;

/** Undefined where the gate opens; else why it does not, in one line. */
export function failureReason({ totals, failureCount, failures, runProblem, collection }: GateResult): string | undefined {
  if (runProblem !== undefined) return runProblem;
  if (totals.requests === 0) return `no request was sent: the collection '${collection}' ran, but tested nothing`;
  if (failureCount === 0) return undefined;
  const parts = [
    totals.failedTests > 0 ? `${totals.failedTests} of ${count(totals.tests, 'test')} failed` : '',
    totals.requestsWithoutAnswer > 0 ? `${totals.requestsWithoutAnswer} of ${count(totals.requests, 'request')} got no answer` : '',
    totals.scriptErrors > 0 ? `${count(totals.scriptErrors, 'script error')}` : '',
    totals.otherErrors > 0 ? `${count(totals.otherErrors, 'other error')}` : '',
  ];
  const [first] = failures;
  return parts.filter(Boolean).join(', ') + (first ? `; first: ${failureLine(first)}` : '');
}

/** One line about one failure. */
export function failureLine({ iteration, item, request, status, name, message, kind }: Failure): string {
  const sent = [request, status].filter(Boolean).join(' → ');
  const what = kind === 'request' ? message : message === name ? name : `${name}: ${message}`;
  return [`[${item}, iteration ${iteration}]`, sent, sent ? `— ${what}` : what].filter(Boolean).join(' ');
}

/** The last line of the log and, with the reason, the message of the step. */
export function closingLine(result: GateResult): string {
  const { totals, durationMs } = result;
  const p95 = p95Milliseconds(result.times);
  return [
    `${count(totals.requests, 'request')}`,
    `${count(totals.tests, 'test')}${totals.skippedTests > 0 ? ` (${totals.skippedTests} skipped)` : ''}`,
    `${count(result.failureCount, 'failure')}`,
    ...(p95 === undefined ? [] : [`p95 ${p95} ms`]),
    formatDuration(durationMs),
  ].join(', ');
}

export function p95Milliseconds(times: readonly ItemTimes[]): number | undefined {
  return percentile(times.flatMap(({ milliseconds }) => milliseconds), 0.95);
}

/** The Markdown page of the run. All texts from outside are escaped. */
export function gateSummary(result: GateResult): string {
  const reason = failureReason(result);
  const lines = [
    `## ${reason === undefined ? '✅' : '❌'} ${markdownText(result.collection)}`,
    '',
    reason === undefined ? `Passed: ${markdownText(closingLine(result))}.` : `Failed: ${markdownText(reason)}.`,
  ];
  if (result.failures.length > 0) {
    const rows = result.failures
      .slice(0, MOST_FAILURES_SHOWN)
      .map(({ item, iteration, request, status, name, message }) => [item, String(iteration), request, status, name, message].map(shortened).map(markdownText));
    lines.push('', '### Failures', '', markdownTable(['Item', 'Iteration', 'Request', 'Status', 'Test', 'Message'], rows));
    if (result.failureCount > rows.length) lines.push('', `And ${result.failureCount - rows.length} more: see the Tests tab.`);
  }
  const slowest = result.times
    .map(({ name, milliseconds }) => ({ name, milliseconds, p95: percentile(milliseconds, 0.95) ?? 0 }))
    .sort((a, b) => b.p95 - a.p95)
    .slice(0, MOST_REQUESTS_SHOWN);
  if (slowest.length > 0) {
    const rows = slowest.map(({ name, milliseconds, p95 }) => [
      markdownText(shortened(name)),
      String(milliseconds.length),
      String(percentile(milliseconds, 0.5)),
      String(p95),
      String(percentile(milliseconds, 1)),
    ]);
    lines.push('', '### Response times', '', markdownTable(['Request', 'Answers', 'p50 (ms)', 'p95 (ms)', 'Max (ms)'], rows));
  }
  return `${lines.join('\n')}\n`;
}

function shortened(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
