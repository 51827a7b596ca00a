import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { PipelineError } from './pipeline/pipeline';
import { closingTable } from './story/closingTable';
import { parseCommandLine, USAGE, UsageError, type Command } from './story/commandLine';
import { htmlReport } from './story/htmlReport';
import { rehearsePipeline } from './story/pipelineRehearsal';
import { durationText, type RehearsalReport } from './story/rehearsalReport';
import { sampleStory } from './story/sampleStory';
import { StoryPrinter } from './story/storyPrinter';
import { harmless, textStyle } from './story/terminalText';

const root = resolve(__dirname, '..');
/** Where the user stands; npm itself changes to the project's folder. */
const folder = process.env['INIT_CWD'] ?? process.cwd();

/** One Ctrl+C arrives more than once: from the terminal, and passed on by npm and tsx. */
const SAME_INTERRUPT = 1_000;

async function main(): Promise<number> {
  const command = parseCommandLine(process.argv.slice(2), process.env, folder);
  if (command.kind === 'help') {
    print(USAGE);
    return 0;
  }
  const cancel = new AbortController();
  const shutdown = new AbortController();
  let interruptedAt = 0;
  const interrupted = (): void => {
    if (Date.now() - interruptedAt < SAME_INTERRUPT) return;
    const again = interruptedAt > 0;
    interruptedAt = Date.now();
    if (command.kind === 'rehearse' && !again) {
      print('\n  Canceling: post-job steps still run. Press Ctrl+C again to stop at once.');
      cancel.abort();
    } else {
      shutdown.abort();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupted);

  const report = await rehearse(command, { cancel: cancel.signal, shutdown: shutdown.signal }).catch((error: unknown) => {
    if (shutdown.signal.aborted) return undefined;
    throw error;
  });
  if (!report) {
    print('\nStopped.');
    return 130;
  }
  await conclude(report);
  return cancel.signal.aborted ? 130 : report.differences.length === 0 ? 0 : 1;
}

async function rehearse(
  command: Exclude<Command, { kind: 'help' }>,
  signals: { readonly cancel: AbortSignal; readonly shutdown: AbortSignal },
): Promise<RehearsalReport> {
  if (command.kind === 'sample') return await sampleStory(root, new StoryPrinter({ linesPerRun: 6 }), signals.shutdown);
  return await rehearsePipeline(command, { root, folder }, new StoryPrinter({}), signals);
}

/** Prints the table and the verdict, and writes the page. */
async function conclude(report: RehearsalReport): Promise<void> {
  const style = textStyle(process.stdout);
  closingTable(report.acts, style).forEach(print);
  const page = join(root, 'dist/rehearsal/index.html');
  await mkdir(dirname(page), { recursive: true });
  // In one go, so that nobody who has it open reads half a page.
  await writeFile(`${page}.${String(process.pid)}`, htmlReport(report));
  await rename(`${page}.${String(process.pid)}`, page);
  print('');
  if (report.differences.length === 0) print(style.good(`Everything went as it should, in ${durationText(report.finishedAt - report.startedAt)}.`));
  for (const difference of report.differences) print(style.bad(`✖ ${harmless(difference)}`));
  print(`Report: ${relative(folder, page)}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${harmless(message)}\n`);
    if (error instanceof UsageError) process.stderr.write('See npm start -- --help.\n');
    else if (!(error instanceof PipelineError) && process.env['DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
    process.exit(error instanceof UsageError || error instanceof PipelineError ? 2 : 1);
  },
);
