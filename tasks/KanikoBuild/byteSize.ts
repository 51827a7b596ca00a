const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const POWERS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 };

/** `500MB`, `1.5 GiB`, `2Gi` or a bare number of bytes; undefined where it is none of these. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?$/i.exec(text.trim()) ?? [];
  const power = POWERS[unit.toLowerCase()];
  return number === undefined || power === undefined ? undefined : Math.round(Number(number) * power);
}

/** For people: `12 B`, `3.4 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}
