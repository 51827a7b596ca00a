import type { RunResult } from '../agent/job';
import { durationText, type Act, type RehearsalReport } from './rehearsalReport';
import { MARKS } from './storyPrinter';

/** The report of a rehearsal as one HTML page that needs nothing else. All text is escaped. */
export function htmlReport(report: RehearsalReport): string {
  const good = report.differences.length === 0;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(report.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(report.title)}</h1>
<p>${escapeHtml(new Date(report.startedAt).toISOString().replace('T', ' ').slice(0, 16))} UTC, took ${durationText(report.finishedAt - report.startedAt)}</p>
<p class="verdict ${good ? 'good' : 'bad'}">${good ? '✔ Everything went as it should.' : `✖ It did not go as it should:`}</p>
${good ? '' : `<ul>${report.differences.map((text) => `<li>${escapeHtml(text)}</li>`).join('')}</ul>`}
</header>
<main>
${report.acts.map(actSection).join('\n')}
</main>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
    // Control characters have no meaning in HTML and confuse who copies from it.
    .replace(/\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '');
}

function actSection({ title, job, served, summaries }: Act, index: number): string {
  const started = Math.min(...job.runs.map(({ startedAt }) => startedAt));
  const finished = Math.max(...job.runs.map(({ finishedAt }) => finishedAt));
  const id = `act-${String(index + 1)}`;
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${escapeHtml(title)}</h2>
<p>Job: ${badge(job.result)}${served ? ` <span class="served">Served before <b>${escapeHtml(served.before)}</b> <span aria-hidden="true">→</span><span class="hidden">, </span> after <b>${escapeHtml(served.after)}</b>, release recorded as <b>${escapeHtml(served.recorded)}</b></span>` : ''}</p>
${job.setupError === undefined ? '' : `<p class="bad">${escapeHtml(job.setupError)}</p>`}
<ol class="timeline">
${job.runs.map((run) => timelineRow(run, started, Math.max(1, finished - started), summaries)).join('\n')}
</ol>
</section>`;
}

function timelineRow(run: RunResult, started: number, span: number, summaries: ReadonlyMap<string, string>): string {
  const skipped = run.result === 'Skipped';
  const left = ((run.startedAt - started) / span) * 100;
  const width = Math.max(0.6, ((run.finishedAt - run.startedAt) / span) * 100);
  const bar = skipped
    ? ''
    : `<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="track" width="100" height="4"/><rect class="${tone(run.result)}" x="${Math.min(left, 99.4).toFixed(2)}" width="${width.toFixed(2)}" height="4"/></svg>`;
  const outputs = Object.entries(run.outputVariables).filter(([, value]) => value !== '');
  const summary = run.attachments.flatMap(({ file }) => (file === undefined ? [] : [summaries.get(file)])).filter((text) => text !== undefined);
  const issues = run.issues.map(({ type, message }) => `<li class="${type === 'error' ? 'bad' : 'warn'}"><b>${type}</b> ${escapeHtml(message)}</li>`);
  return `<li>
<div class="row"><span class="name">${escapeHtml(run.displayName)}</span><span class="facts">${badge(run.result)} <span class="time">${skipped ? '' : durationText(run.finishedAt - run.startedAt)}</span></span></div>
${bar}
${issues.length > 0 ? `<ul class="issues">${issues.join('')}</ul>` : ''}
${outputs.length > 0 ? `<dl>${outputs.map(([name, value]) => `<dt>${escapeHtml(`${run.step}.${name}`)}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>` : ''}
${summary.map((text) => `<details><summary>Summary on the run's page</summary><pre tabindex="0" role="group" aria-label="Summary of ${escapeHtml(run.displayName)}">${escapeHtml(text)}</pre></details>`).join('')}
${run.lines.length > 0 ? `<details><summary>Log (${String(run.lines.length)})</summary><pre tabindex="0" role="group" aria-label="Log of ${escapeHtml(run.displayName)}">${run.lines.map((line) => logLine(line, run.startedAt)).join('\n')}</pre></details>` : ''}
</li>`;
}

function logLine({ at, text }: RunResult['lines'][number], startedAt: number): string {
  const seconds = ((at - startedAt) / 1000).toFixed(2).padStart(6);
  const kind = /^##\[(error|warning|section|debug)\]/.exec(text)?.[1];
  const shown = escapeHtml(text.replace(/^##\[(?:section|group|command|debug)\]/, '').replace(/^##\[(error|warning)\]/, '$1: '));
  const tones: Readonly<Record<string, string>> = { error: 'bad', warning: 'warn', section: 'strong', debug: 'faint' };
  return `<span class="at">${seconds}</span> ${kind ? `<span class="${tones[kind] ?? ''}">${shown}</span>` : shown}`;
}

function badge(result: RunResult['result']): string {
  return `<span class="badge ${tone(result)}"><span aria-hidden="true">${MARKS[result]}</span> ${result}</span>`;
}

function tone(result: string): string {
  if (result === 'Succeeded') return 'good';
  if (result === 'Failed') return 'bad';
  return result === 'Skipped' ? 'faint' : 'warn';
}

const STYLE = `
:root { --page: #f6f7f9; --card: #fff; --text: #1b2330; --faint: #566072; --line: #d9dee6; --track: #e6eaf0;
  --good: #17713b; --bad: #b3261e; --warn: #8a5300; --link: #0b57c2; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b2129; --text: #e8ecf2; --faint: #a5b0c0; --line: #313a46; --track: #2a323d;
    --good: #5fd08a; --bad: #ff8f86; --warn: #f2b65a; --link: #8ab8ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
header p { margin: .25rem 0; color: var(--faint); }
header .verdict { font-weight: 600; font-size: 1.05rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin-top: 1.25rem; }
section > p { margin: 0 0 .75rem; }
.served { margin-left: .75rem; }
.timeline { list-style: none; margin: 0; padding: 0; }
.timeline > li { padding: .6rem 0; border-top: 1px solid var(--line); }
.row { display: flex; flex-wrap: wrap; gap: .1rem 1rem; justify-content: space-between; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.facts { display: inline-flex; gap: .75rem; }
.time { min-width: 4.2em; text-align: right; font-variant-numeric: tabular-nums; color: var(--faint); }
.badge { font-weight: 600; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .faint { color: var(--faint); } .strong { font-weight: 700; }
.bar { display: block; width: 100%; height: .5rem; margin: .35rem 0; border-radius: .25rem; }
.bar .track { fill: var(--track); } .bar .good { fill: var(--good); } .bar .bad { fill: var(--bad); } .bar .warn { fill: var(--warn); }
.issues { margin: .35rem 0; padding-left: 1.1rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: .35rem 0; font-size: .875rem; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--link); font-size: .875rem; width: fit-content; padding: .15rem 0; }
summary:focus-visible, pre:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
pre { margin: .35rem 0 0; padding: .75rem; max-height: 28rem; overflow: auto; background: var(--page); border: 1px solid var(--line);
  border-radius: .4rem; font: .8125rem/1.45 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
.at { color: var(--faint); user-select: none; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 36rem) { .served { display: block; margin-left: 0; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .25rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } }
@media print { details { display: none; } section { break-inside: avoid; } }
`;
