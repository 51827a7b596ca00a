import { markdownTable, markdownText } from '../core/report/markdown';
import { imageList, imagesOf, pick, stateImages } from './objectState';
import type { LiveObjects } from './releaseDecision';
import { appliedImages, targetImages, type ReleaseRecord } from './releaseRecord';
import { currentRelease } from './returnDecision';

/** One release, as `action: status` shows it. */
export interface HistoryRow {
  readonly number: number;
  /** Whether it is what runs now. */
  readonly current: boolean;
  /** Pipeline and name of the run. */
  readonly run: string;
  readonly url: string | undefined;
  /** When it started: ISO 8601, UTC, to the second. */
  readonly time: string;
  readonly from: string;
  readonly to: string;
  readonly state: ReleaseRecord['state'];
  /** Why it failed, or which other release it has to do with. */
  readonly note: string;
}

/** @param records of the release, oldest first; the rows keep that order */
export function historyRows(records: readonly ReleaseRecord[], live: LiveObjects): HistoryRow[] {
  const current = currentRelease(records, live);
  return records.map((record) => ({
    number: record.number,
    current: record === current,
    run: [record.run.pipeline, record.run.name || record.run.key].filter(Boolean).join(' '),
    url: record.run.url,
    time: toSecond(record.createdAt),
    from: record.rollback?.images ?? targetImages(record),
    to: appliedImages(record),
    state: record.state,
    note: noteOf(record),
  }));
}

function noteOf({ state, rollback, supersededBy, failureReason }: ReleaseRecord): string {
  const returned = rollback && (rollback.to === undefined ? 'return to what ran before all releases' : `return to release ${rollback.to}`);
  const closed = supersededBy !== undefined && (state === 'superseded' ? `release ${supersededBy} took over` : `taken back by release ${supersededBy}`);
  return [returned, closed, failureReason].filter(Boolean).join('; ');
}

function toSecond(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** What runs now, and whose it is. */
export function currentState(name: string, records: readonly ReleaseRecord[], live: LiveObjects): { readonly image: string; readonly sentence: string } {
  const objects = [...live.values()].filter((object) => object !== undefined);
  if (objects.length === 0) return { image: '', sentence: `${name} does not exist.` };
  const release = currentRelease(records, live);
  const guarded = release?.objects.length === 1 && release.objects[0]?.applied.kind === 'images' ? Object.keys(stateImages(release.objects[0].applied)) : undefined;
  const [only, ...others] = objects;
  const all = imagesOf(only);
  const image = others.length === 0 ? imageList(guarded ? pick(all, guarded) : all) : [...new Set(objects.flatMap((object) => Object.values(imagesOf(object))))].join(', ');
  const whose = release ? `release ${release.number}, ${release.state}` : records.length > 0 ? 'put there by none of these releases' : 'no release is recorded';
  return { image, sentence: `${name} runs ${image || `${objects.length} objects without images`} (${whose}).` };
}

const HEADER = ['', 'No', 'Run', 'Time (UTC)', 'From', 'To', 'State', 'Note', 'Link'];

/** The table for the log, with aligned columns; `*` marks what runs now. */
export function historyLines(rows: readonly HistoryRow[]): string[] {
  const cells = rows.map((row) => [row.current ? '*' : '', String(row.number), row.run, row.time, row.from, row.to, row.state, row.note, row.url ?? ''].map((cell) => cell.replace(/\s+/g, ' ')));
  const all = [HEADER, ...cells];
  const widths = HEADER.map((_title, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
}

/** The same as a page of the run, in Markdown. All texts from outside are escaped. */
export function historySummary(title: string, sentence: string, rows: readonly HistoryRow[]): string {
  const lines = [`## ${markdownText(title)}`, '', markdownText(sentence)];
  if (rows.length > 0) {
    const cells = rows.map((row) => [
      row.current ? `**${row.number}** (runs now)` : String(row.number),
      link(row.run, row.url),
      ...[row.time, row.from, row.to, row.state, row.note].map(markdownText),
    ]);
    lines.push('', markdownTable(['Release', 'Run', 'Time (UTC)', 'From', 'To', 'State', 'Note'], cells));
  }
  return `${lines.join('\n')}\n`;
}

/** Only addresses of the web become links: whoever may write Secrets in the namespace may write the address. */
function link(text: string, url: string | undefined): string {
  const address = url !== undefined && URL.canParse(url) ? new URL(url) : undefined;
  if (address?.protocol !== 'https:' && address?.protocol !== 'http:') return markdownText(text);
  const safe = address.href.replace(/[()<>|\\`*_[\]]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return `[${markdownText(text)}](${safe})`;
}
