import type { Issue, LogLine, RunInfo, RunResult } from '../agent/job';
import type { TaskResult } from '../agent/taskResult';
import type { PipelineListener } from '../pipeline/runPipeline';
import { durationText } from './rehearsalReport';
import { harmless, textStyle, type TextStyle } from './terminalText';

export interface StoryPrinterOptions {
  /** How many ordinary lines of a run are shown, cut to a fair length; without it all are, whole. Issues always are. */
  readonly linesPerRun?: number;
  readonly style?: TextStyle;
  readonly write?: (line: string) => void;
}

export const MARKS: Readonly<Record<TaskResult, string>> = {
  Succeeded: '✔',
  SucceededWithIssues: '!',
  Failed: '✖',
  Canceled: '■',
  Skipped: '–',
  Abandoned: '■',
};

const MAX_LINE = 160;

/** Tells a pipeline on the terminal while it runs. */
export class StoryPrinter implements PipelineListener {
  readonly #style: TextStyle;
  readonly #write: (line: string) => void;
  readonly #limit: number | undefined;
  #shown = 0;
  #held = 0;

  constructor({ linesPerRun, style, write }: StoryPrinterOptions) {
    this.#limit = linesPerRun;
    this.#style = style ?? textStyle(process.stdout);
    this.#write = write ?? ((line) => process.stdout.write(`${line}\n`));
  }

  heading(text: string): void {
    this.#write('');
    this.#write(this.#style.strong(harmless(text)));
  }

  say(text: string): void {
    this.#write(`  ${harmless(text)}`);
  }

  jobStarted(displayName: string): void {
    this.#write('');
    this.#write(`  ${this.#style.strong(harmless(displayName))}`);
  }

  nodeSkipped(what: 'stage' | 'job', displayName: string, why: string): void {
    this.#write('');
    this.#write(`  ${this.#style.faint(`– ${what} ${harmless(displayName)}: skipped, as ${harmless(why)} does not hold`)}`);
  }

  runStarted(run: RunInfo): void {
    this.#shown = 0;
    this.#held = 0;
    this.#write(`  ${this.#style.faint('▸')} ${harmless(run.displayName)}`);
  }

  logLine(_run: RunInfo, { text }: LogLine): void {
    const line = readable(text);
    // Issues come by `issue`, with their own mark.
    if (line === undefined || /^##\[(?:error|warning)\]/.test(text)) return;
    if (this.#limit !== undefined && this.#shown >= this.#limit) {
      this.#held += 1;
      return;
    }
    this.#shown += 1;
    this.#write(`      ${this.#style.faint(this.#limit === undefined ? line : cut(line))}`);
  }

  issue(_run: RunInfo, { type, message }: Issue): void {
    const style = type === 'error' ? this.#style.bad : this.#style.warn;
    for (const line of message.split('\n')) this.#write(`      ${style(`${type}: ${harmless(line)}`)}`);
  }

  runFinished(run: RunResult): void {
    if (run.result === 'Skipped') {
      this.#write(`  ${this.#style.faint(`– ${harmless(run.displayName)}: skipped`)}`);
      return;
    }
    if (this.#held > 0) this.#write(`      ${this.#style.faint(`… ${String(this.#held)} more in the report`)}`);
    const duration = durationText(run.finishedAt - run.startedAt);
    this.#write(`  ${resultStyle(this.#style, run.result)(`${MARKS[run.result]} ${run.result}`)} ${this.#style.faint(duration)}`);
  }
}

export function resultStyle(style: TextStyle, result: string): (text: string) => string {
  if (result === 'Succeeded') return style.good;
  if (result === 'Failed') return style.bad;
  return result === 'Skipped' ? style.faint : style.warn;
}

/** A line of the log for a reader; undefined where it says nothing to one. */
function readable(text: string): string | undefined {
  if (text.startsWith('##[endgroup]') || text.trim() === '') return undefined;
  return harmless(text.replace(/^##\[(?:section|group|command)\]/, '').replace(/^##\[debug\]/, 'debug: '));
}

function cut(line: string): string {
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line;
}
