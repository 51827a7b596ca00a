/** Of a series of measurements. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws where there is no measurement */
export function summary(samples: readonly number[]): Summary {
  return { median: percentile(samples, 50), min: percentile(samples, 0), max: percentile(samples, 100) };
}

/**
 * The median is the middle of the two middle measurements where their number is even; every other percentile is a
 * measurement that was made (nearest rank), so that few of them give no rosier figure than they hold.
 * @param rank 0 to 100
 */
export function percentile(samples: readonly number[], rank: number): number {
  const sorted = [...samples].sort((one, other) => one - other);
  const at = (index: number): number => {
    const value = sorted[Math.min(sorted.length - 1, Math.max(0, index))];
    if (value === undefined) throw new Error('There is no measurement.');
    return value;
  };
  if (rank === 50) return (at(Math.ceil(sorted.length / 2) - 1) + at(Math.floor(sorted.length / 2))) / 2;
  return at(Math.ceil((rank / 100) * sorted.length) - 1);
}

/** Ours and theirs of the same pair stand at the same index. */
export interface Pairs {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/**
 * The median of what ours is to theirs in each pair. What meets both sides of a pair, such as the state that a cluster is
 * in, drops out of it; of the quotient of two medians it does not.
 */
export function medianRatio({ ours, theirs }: Pairs): number {
  return summary(ours.map((own, pair) => own / (theirs[pair] ?? NaN))).median;
}

/** @param share from 0 to 1 in even steps, the same for both sides of a pair: to vary what would else be chance */
export type Measurement = (share: number) => Promise<number>;

/**
 * Measures both sides in turn, so that what slows the machine meets both; who goes first alternates, as the first one
 * may leave something warm for the second. One pair before them is not counted.
 * @param measured told after each counted pair
 */
export async function interleave(
  count: number,
  ours: Measurement,
  theirs: Measurement,
  measured: (pair: number, ours: number, theirs: number) => void = () => undefined,
): Promise<Pairs> {
  const pairs = { ours: [] as number[], theirs: [] as number[] };
  for (let pair = 0; pair <= count; pair++) {
    const share = pair / count;
    const first = pair % 2 === 0 ? await ours(share) : undefined;
    const other = await theirs(share);
    const own = first ?? (await ours(share));
    if (pair === 0) continue;
    pairs.ours.push(own);
    pairs.theirs.push(other);
    measured(pair, own, other);
  }
  return pairs;
}
