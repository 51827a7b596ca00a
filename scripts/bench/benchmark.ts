import type { Pairs } from './statistics';

/** One benchmark: what it measures is told side by side with what a user would take instead. */
export interface Benchmark {
  /** @throws MissingTool before anything is measured, where this machine lacks something */
  run(setting: BenchmarkSetting): Promise<Measurements>;
}

export interface BenchmarkSetting {
  /** Fewer pairs and smaller inputs: to see that it works, or for a first impression. */
  readonly quick: boolean;
  /** For people, while it runs. */
  readonly note: (text: string) => void;
  /** Aborted when the user interrupts the run. */
  readonly signal: AbortSignal;
}

/** The keys are those by which the figures are compared over time. */
export interface Measurements {
  readonly comparisons: Readonly<Record<string, Comparison>>;
  readonly metrics: Readonly<Record<string, Metric>>;
  /** Counts, and what else explains the figures. */
  readonly notes: readonly string[];
}

/** Its ratio is the median of what ours is to theirs in each pair. */
export interface Comparison extends Pairs {
  readonly unit: string;
  /** What the other side is, in a few words. */
  readonly against: string;
  readonly target?: Target;
}

export interface Metric {
  readonly value: number;
  readonly unit: string;
  readonly target?: Target;
}

export type Target = { readonly atMost: number } | { readonly atLeast: number };

/** Something that a benchmark needs and this machine lacks: says what it is and how to get it. */
export class MissingTool extends Error {
  override readonly name = 'MissingTool';
}
