import { closeSync, openSync, writeSync } from 'node:fs';
import type { Builder } from 'junit-report-builder';

/** One testcase of a JUnit report. */
export interface JunitCase {
  readonly className: string;
  readonly name: string;
  readonly seconds: number;
  /** A failure is a broken expectation; an error is a test that could not be carried out. */
  readonly outcome: 'passed' | 'skipped' | JunitProblem;
}

export interface JunitProblem {
  readonly kind: 'failure' | 'error';
  readonly type: string;
  readonly message: string;
  /** More lines, shown as the stack trace. */
  readonly detail: string;
}

export interface JunitSuite {
  readonly name: string;
  readonly started: Date;
  readonly seconds: number;
  readonly cases: readonly JunitCase[];
}

/** Writes suites to a file as they come, so that a report of any length needs the memory of one suite. */
export interface JunitReport {
  add(suite: JunitSuite): void;
  /** Ends the file; without it the file is not XML. */
  close(): void;
}

const FLUSH_CHARACTERS = 64 * 1024;

/** @param title the name on the root element. */
export async function openJunitReport(file: string, title: string): Promise<JunitReport> {
  const { default: builder } = await import('junit-report-builder');
  const descriptor = openSync(file, 'w');
  const [declaration, root] = builder.newBuilder().name(title).build().split('\n');
  // The counts in the root's attributes are those of an empty report; readers add them up from the suites.
  let pending = `${declaration}\n${root?.replace(/ (tests|failures|errors|skipped)="0"/g, '').replace(/\/>$/, '>')}\n`;

  const flush = () => {
    const bytes = Buffer.from(pending);
    for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
    pending = '';
  };
  return {
    add: (suite) => {
      pending += suiteXml(builder.newBuilder(), suite);
      if (pending.length > FLUSH_CHARACTERS) flush();
    },
    close: () => {
      pending += '</testsuites>\n';
      flush();
      closeSync(descriptor);
    },
  };
}

/** The suite's element alone: what the builder puts around it is one line before and one after. */
function suiteXml(builder: Builder, { name, started, seconds, cases }: JunitSuite): string {
  const suite = builder.testSuite().name(name).timestamp(started.toISOString()).time(seconds);
  for (const { className, name: caseName, seconds: caseSeconds, outcome } of cases) {
    const testCase = suite.testCase().className(className).name(caseName).time(caseSeconds);
    if (outcome === 'skipped') testCase.skipped();
    else if (outcome !== 'passed' && outcome.kind === 'failure') {
      testCase.failure(outcome.message, outcome.type).stacktrace(outcome.detail);
    } else if (outcome !== 'passed') testCase.error(outcome.message, outcome.type, outcome.detail);
  }
  const lines = builder.build().split('\n');
  return `${lines.slice(2, lines.lastIndexOf('</testsuites>')).join('\n')}\n`;
}
