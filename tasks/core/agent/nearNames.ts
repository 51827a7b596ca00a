/** The names most like the one that was looked for, the likest first; for "there is no x, but there are y and z". */
export function nearNames(names: readonly string[], wanted: string, most = 5): string[] {
  return [...new Set(names)]
    .map((name) => ({ name, score: likeness(name.toLowerCase(), wanted.toLowerCase()) }))
    .filter(({ score }) => score > 0.3)
    .sort((one, other) => other.score - one.score || one.name.localeCompare(other.name))
    .slice(0, most)
    .map(({ name }) => name);
}

/** Dice's coefficient over pairs of neighbouring letters: 1 for equal texts, 0 where they share no pair. */
function likeness(one: string, other: string): number {
  if (one === other) return 1;
  const left = pairsOf(one);
  const right = pairsOf(other);
  const unused = [...right];
  let shared = 0;
  for (const pair of left) {
    const at = unused.indexOf(pair);
    if (at < 0) continue;
    unused.splice(at, 1);
    shared += 1;
  }
  return left.length + right.length === 0 ? 0 : (2 * shared) / (left.length + right.length);
}

function pairsOf(text: string): string[] {
  return Array.from({ length: Math.max(0, text.length - 1) }, (_, index) => text.slice(index, index + 2));
}
