import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The processes of this machine, those in containers included, whose command line fits. Linux only. */
export function processesWith(fits: (words: readonly string[]) => boolean): number[] {
  return processesOf((folder) => {
    const words = readIfThere(`${folder}/cmdline`).split('\0');
    return words.length > 1 && fits(words);
  });
}

function processesOf(fits: (folder: string) => boolean): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && fits(`/proc/${name}`))
    .map(Number);
}

/** Waits until exactly one process fits. */
export function processWith(fits: (words: readonly string[]) => boolean): Promise<number> {
  return onlyOne(() => processesWith(fits));
}

/** Waits until exactly one process has this variable in its environment. */
export function processWithVariable(name: string, value: string): Promise<number> {
  return onlyOne(() => processesOf((folder) => readIfThere(`${folder}/environ`).split('\0').includes(`${name}=${value}`)));
}

async function onlyOne(look: () => number[]): Promise<number> {
  for (const deadline = Date.now() + 60_000; ; await delay(60)) {
    const [found, ...others] = look();
    if (found !== undefined && others.length === 0) return found;
    if (Date.now() > deadline) throw new Error('The process did not start within 60 s.');
  }
}

/** Watches the memory of a process in bytes of RAM; it counts from the call on. */
export function watchMemory(pid: number): { growth(): number; stop(): void } {
  const rss = () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readIfThere(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
  const start = rss();
  let peak = start;
  const timer = setInterval(() => (peak = Math.max(peak, rss())), 20);
  return { growth: () => peak - start, stop: () => clearInterval(timer) };
}

function readIfThere(file: string): string {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  } catch {
    // It has ended meanwhile.
    return '';
  }
}
