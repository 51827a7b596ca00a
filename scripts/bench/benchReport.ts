import type { Measurements, Target } from './benchmark';
import { medianRatio, summary, type Pairs } from './statistics';

/** Where and how the figures were measured. */
export interface Circumstances {
  readonly quick: boolean;
  /** ISO 8601. */
  readonly measuredAt: string;
  readonly machine: string;
  readonly node: string;
}

export interface Samples extends Pairs {
  readonly unit: string;
  readonly against: string;
  /** The other way to compare: the median of ours by the median of theirs. */
  readonly ratioOfMedians: number;
}

/** What is written to dist/bench/NAME.json. */
export interface BenchFile extends Circumstances {
  readonly name: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly ratios: Readonly<Record<string, number>>;
  /** What the ratios were made of. */
  readonly samples: Readonly<Record<string, Samples>>;
  readonly notes: readonly string[];
}

export function benchFile(name: string, measured: Measurements, circumstances: Circumstances): BenchFile {
  const comparisons = Object.entries(measured.comparisons);
  return {
    name,
    metrics: Object.fromEntries(Object.entries(measured.metrics).map(([key, { value }]) => [key, rounded(value)])),
    ratios: Object.fromEntries(comparisons.map(([key, pairs]) => [key, rounded(medianRatio(pairs))])),
    ...circumstances,
    samples: Object.fromEntries(
      comparisons.map(([key, { unit, against, ours, theirs }]) => [key, { unit, against, ratioOfMedians: rounded(summary(ours).median / summary(theirs).median), ours: ours.map(rounded), theirs: theirs.map(rounded) }]),
    ),
    notes: measured.notes,
  };
}

/** For people: medians with the spread from the lowest to the highest, and whether targets are met. */
export function benchTable(name: string, measured: Measurements, circumstances: Circumstances): string[] {
  const { ratios, metrics } = benchFile(name, measured, circumstances);
  const comparisons = Object.entries(measured.comparisons).map(([key, { unit, against, ours, theirs, target }]) => [
    key,
    spread(ours, unit),
    spread(theirs, unit),
    figure(ratios[key] ?? NaN),
    verdict(ratios[key] ?? NaN, target),
    String(ours.length),
    against,
  ]);
  const single = Object.entries(measured.metrics).map(([key, { unit, target }]) => [key, `${figure(metrics[key] ?? NaN)} ${unit}`.trim(), verdict(metrics[key] ?? NaN, target)]);
  return [
    `${name}${circumstances.quick ? ' (quick)' : ''}, ${circumstances.machine}, Node ${circumstances.node}`,
    ...(comparisons.length > 0 ? ['', ...columns([['ratio', 'ours', 'theirs', 'ours/theirs', 'target', 'pairs', 'against'], ...comparisons])] : []),
    ...(single.length > 0 ? ['', ...columns([['metric', 'value', 'target'], ...single])] : []),
    ...(measured.notes.length > 0 ? ['', ...measured.notes] : []),
  ];
}

function spread(samples: readonly number[], unit: string): string {
  const { median, min, max } = summary(samples);
  return `${figure(median)} ${unit} (${figure(min)}–${figure(max)})`;
}

export function verdict(value: number, target: Target | undefined): string {
  if (!target) return '';
  const met = 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
  return `${'atMost' in target ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`} ${met ? 'met' : 'MISSED'}`;
}

/** Whole numbers where the fraction says nothing. */
function figure(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toFixed(value < 10 ? 2 : 1)));
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_title, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
}
