import type { JunitCase, JunitProblem, JunitSuite } from '../core/report/junitReport';
import type { Redactor } from './redaction';

/** Where an event of the run belongs: one execution of one request of the collection. */
export interface ItemKey {
  /** Newman's reference of the execution. */
  readonly ref: string;
  /** From 1. */
  readonly iteration: number;
  readonly name: string;
  /** The folders around it, outermost first. */
  readonly folders: readonly string[];
  /** The request's address as the collection has it, with its variables: the same in each run. */
  readonly template: string;
}

export interface RequestResult {
  readonly method: string;
  readonly url: string;
  /** Sent by a script with pm.sendRequest. */
  readonly nested: boolean;
  /** The answer, or why there was none. */
  readonly answer: { readonly code: number; readonly status: string; readonly milliseconds: number } | { readonly error: string };
}

export interface TestResult {
  readonly name: string;
  readonly outcome: 'passed' | 'skipped' | { readonly type: string; readonly message: string };
}

/** One thing that went wrong, redacted. */
export interface Failure {
  readonly kind: 'test' | 'script' | 'request' | 'run';
  readonly iteration: number;
  readonly item: string;
  /** For example `POST http://host/path?id=***`; empty where nothing was sent. */
  readonly request: string;
  /** For example `500 Internal Server Error` or `no answer`. */
  readonly status: string;
  readonly name: string;
  readonly message: string;
}

export interface Totals {
  items: number;
  requests: number;
  requestsWithoutAnswer: number;
  tests: number;
  failedTests: number;
  skippedTests: number;
  scriptErrors: number;
  otherErrors: number;
}

/** Response times of one request of the collection over all iterations. */
export interface ItemTimes {
  readonly name: string;
  readonly milliseconds: number[];
}

interface OpenItem {
  readonly key: ItemKey;
  readonly started: Date;
  readonly requests: RequestResult[];
  readonly cases: JunitCase[];
  /** Errors told while scripts ran; the end of a script repeats one of them. */
  readonly scriptErrors: string[];
}

/** What the collector hands on as it comes. */
export interface CollectorSink {
  failure(failure: Failure): void;
  suite(suite: JunitSuite): void;
}

const LONGEST_MESSAGE = 4000;

/**
 * Follows a run by its events, item by item, and loses nothing: every test of every iteration is a testcase of its
 * own, and so is a request without an answer or a script that broke. Only totals and response times are kept.
 */
export class ResultCollector {
  readonly totals: Totals = {
    items: 0,
    requests: 0,
    requestsWithoutAnswer: 0,
    tests: 0,
    failedTests: 0,
    skippedTests: 0,
    scriptErrors: 0,
    otherErrors: 0,
  };
  readonly times = new Map<string, ItemTimes>();
  private readonly open = new Map<string, OpenItem>();

  constructor(
    private readonly collection: string,
    private readonly redactor: Redactor,
    private readonly sink: CollectorSink,
    private readonly now: () => Date = () => new Date(),
  ) {}

  get failures(): number {
    const { failedTests, scriptErrors, requestsWithoutAnswer, otherErrors } = this.totals;
    return failedTests + scriptErrors + requestsWithoutAnswer + otherErrors;
  }

  begin(key: ItemKey): void {
    this.item(key);
  }

  request(key: ItemKey, result: RequestResult): void {
    const item = this.item(key);
    this.totals.requests++;
    if (!result.nested) item.requests.push(result);
    const request = this.describeRequest(result);
    const name = result.nested ? `pm.sendRequest ${request}` : `${this.redactor.redact(result.method)} ${this.redactor.redactUrl(key.template)}`;
    if ('error' in result.answer) {
      this.totals.requestsWithoutAnswer++;
      const message = this.clean(result.answer.error);
      item.cases.push(this.testCase(item, name, 0, problem('error', 'NoAnswer', message, [request])));
      this.sink.failure({ ...this.place(item), kind: 'request', request, status: 'no answer', name, message });
      return;
    }
    const { milliseconds } = result.answer;
    if (result.nested) return;
    item.cases.push(this.testCase(item, name, milliseconds / 1000, 'passed'));
    const path = itemPath(item.key);
    const times = this.times.get(path) ?? { name: this.redactor.redact(path), milliseconds: [] };
    times.milliseconds.push(milliseconds);
    this.times.set(path, times);
  }

  test(key: ItemKey, { name: rawName, outcome }: TestResult): void {
    const item = this.item(key);
    const name = this.clean(rawName) || '(test without a name)';
    this.totals.tests++;
    if (outcome === 'skipped') this.totals.skippedTests++;
    if (typeof outcome === 'string') {
      item.cases.push(this.testCase(item, name, 0, outcome));
      return;
    }
    this.totals.failedTests++;
    const { request, status } = this.lastRequest(item);
    const message = this.clean(outcome.message);
    item.cases.push(this.testCase(item, name, 0, problem('failure', outcome.type, message, [request, status])));
    this.sink.failure({ ...this.place(item), kind: 'test', request, status, name, message });
  }

  /**
   * @param name of the script, such as `test script`.
   * @param concluding told at the end of a script, when an error of it may have been told already.
   */
  scriptError(key: ItemKey, name: string, error: { readonly type: string; readonly message: string }, concluding: boolean): void {
    const item = this.item(key);
    const identity = `${name} ${error.type}: ${error.message}`;
    if (concluding && item.scriptErrors.includes(identity)) return;
    item.scriptErrors.push(identity);
    this.totals.scriptErrors++;
    this.problem(item, 'script', name, error);
  }

  /** An error of the run itself, or of one of its steps that is neither request, script nor test. */
  otherError(key: ItemKey, name: string, error: { readonly type: string; readonly message: string }): void {
    const item = this.item(key);
    this.totals.otherErrors++;
    this.problem(item, 'run', name, error);
  }

  end(ref: string): void {
    const item = this.open.get(ref);
    if (!item) return;
    this.open.delete(ref);
    this.totals.items++;
    if (item.requests.length === 0 && item.cases.length === 0) item.cases.push(this.testCase(item, 'request not sent', 0, 'skipped'));
    const milliseconds = item.requests.reduce((sum, { answer }) => sum + ('error' in answer ? 0 : answer.milliseconds), 0);
    this.sink.suite({
      name: `${this.redactor.redact(itemPath(item.key))} (iteration ${item.key.iteration})`,
      started: item.started,
      seconds: milliseconds / 1000,
      cases: item.cases,
    });
  }

  /** Ends what a cancelled run left open. */
  finish(): void {
    for (const ref of [...this.open.keys()]) this.end(ref);
  }

  /** Says that the run did not get to its end: without it a report of nothing but passed tests would look like a whole run. */
  breakOff(reason: string): void {
    this.finish();
    const className = this.redactor.redact(this.collection);
    const outcome = problem('error', 'BrokenOff', this.clean(reason), []);
    this.sink.suite({ name: className, started: this.now(), seconds: 0, cases: [{ className, name: 'runs to its end', seconds: 0, outcome }] });
  }

  private item(key: ItemKey): OpenItem {
    const known = this.open.get(key.ref);
    if (known) return known;
    const fresh: OpenItem = { key, started: this.now(), requests: [], cases: [], scriptErrors: [] };
    this.open.set(key.ref, fresh);
    return fresh;
  }

  private problem(item: OpenItem, kind: Failure['kind'], name: string, error: { readonly type: string; readonly message: string }): void {
    const { request, status } = this.lastRequest(item);
    const message = this.clean(`${error.type}: ${error.message}`);
    item.cases.push(this.testCase(item, name, 0, problem('error', error.type, message, [request, status])));
    this.sink.failure({ ...this.place(item), kind, request, status, name, message });
  }

  private place(item: OpenItem): { iteration: number; item: string } {
    return { iteration: item.key.iteration, item: this.redactor.redact(itemPath(item.key)) };
  }

  private lastRequest(item: OpenItem): { request: string; status: string } {
    const last = item.requests.at(-1);
    if (!last) return { request: '', status: '' };
    const status = 'error' in last.answer ? 'no answer' : `${last.answer.code} ${last.answer.status}`.trim();
    return { request: this.describeRequest(last), status: this.redactor.redact(status) };
  }

  private describeRequest({ method, url }: RequestResult): string {
    return `${this.redactor.redact(method)} ${this.redactor.redactUrl(url)}`;
  }

  private testCase(item: OpenItem, name: string, seconds: number, outcome: JunitCase['outcome']): JunitCase {
    return { className: this.redactor.redact([this.collection, ...item.key.folders, item.key.name].join('.')), name, seconds, outcome };
  }

  /** Redacted first and shortened after: half a secret would not be recognised. */
  private clean(text: string): string {
    const redacted = this.redactor.redact(text);
    return redacted.length > LONGEST_MESSAGE ? `${redacted.slice(0, LONGEST_MESSAGE)}…` : redacted;
  }
}

function problem(kind: JunitProblem['kind'], type: string, message: string, context: readonly string[]): JunitProblem {
  return { kind, type, message, detail: [message, context.filter(Boolean).join(' → ')].filter(Boolean).join('\n') };
}

function itemPath({ folders, name }: ItemKey): string {
  return [...folders, name].join(' / ');
}

/** The value that a share of the values does not exceed, by nearest rank; undefined for no values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
