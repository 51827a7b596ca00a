import { readdir, readFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The environment variable by which the agent knows processes of a job again. */
export const LOOKUP_VARIABLE = 'VSTS_PROCESS_LOOKUP_ID';

/** Ends what the runs of a job left behind: every process that carries the job's mark in its environment. */
export async function killOrphans(lookupId: string): Promise<void> {
  const mark = `${LOOKUP_VARIABLE}=${lookupId}`;
  for (const pid of process.platform === 'linux' ? await fromProc(mark) : await fromPs(mark)) {
    try {
      if (pid !== process.pid) process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in between.
    }
  }
}

async function fromProc(mark: string): Promise<number[]> {
  const marked: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(mark)) marked.push(Number(name));
  }
  return marked;
}

async function fromPs(mark: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axEww', '-o', 'pid=,command='], { maxBuffer: 64 << 20 });
  return stdout
    .split('\n')
    .filter((line) => line.includes(mark))
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}
