import type { Act } from './rehearsalReport';
import { durationText } from './rehearsalReport';
import { MARKS, resultStyle } from './storyPrinter';
import { harmless, textWidth, type TextStyle } from './terminalText';

/** The table at the end: each run with its result and duration, and which version was served before and after. */
export function closingTable(acts: readonly Act[], style: TextStyle): string[] {
  const rows = acts.flatMap(({ job }) => job.runs.map(({ displayName }) => harmless(displayName)));
  const width = Math.max(4, ...rows.map(textWidth));
  const results = Math.max(6, ...acts.flatMap(({ job }) => job.runs.map(({ result }) => result.length + 2)));
  return acts.flatMap(({ title, job, served }) => [
    '',
    style.strong(harmless(title)),
    style.faint(`  ${pad('step', width)}  ${pad('result', results)}  ${'time'.padStart(9)}`),
    ...job.runs.map(({ displayName, result, startedAt, finishedAt }) => {
      const time = result === 'Skipped' ? '' : durationText(finishedAt - startedAt);
      const shown = pad(`${MARKS[result]} ${result}`, results);
      return `  ${pad(harmless(displayName), width)}  ${resultStyle(style, result)(shown)}  ${time.padStart(9)}`;
    }),
    `  ${pad('job', width)}  ${resultStyle(style, job.result)(`${MARKS[job.result]} ${job.result}`)}`,
    ...(served ? [`  served before: ${served.before}   served after: ${style.strong(served.after)}   release: ${served.recorded}`] : []),
  ]);
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)));
}
