import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderRunner } from '../../../rehearsal/kaniko/commandRunner';

describe('RUN with the programs of this machine', () => {
  const runner = folderRunner();

  it('works in the folder of the stage, and passes output and exit code on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stage-'));
    try {
      let output = '';
      const ending = await runner.run(folder, { argv: ['/bin/sh', '-c', 'echo $A > made && echo done && exit 3'], env: { A: '1', PATH: '' }, cwd: '/', user: { uid: 0, gid: 0 }, output: (_stream, chunk) => (output += chunk.toString()) });
      assert.deepEqual([ending, output, await readFile(join(folder, 'made'), 'utf8')], [{ code: 3 }, 'done\n', '1\n']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  const table: [command: string, refused: string | undefined][] = [
    ['pip install --no-index .', undefined],
    ['echo hi > out 2>/dev/null', undefined],
    ['cat a/b ./c', undefined],
    ['rm -rf /var/cache', '/var/cache'],
    ['echo x >/etc/passwd', '/etc/passwd'],
    ['PREFIX=/usr/local make', '/usr/local'],
    ['cat "/etc/hosts"', '/etc/hosts'],
    ['true;/bin/true', '/bin/true'],
  ];
  for (const [command, refused] of table) {
    it(`${refused === undefined ? 'runs' : 'refuses'} ${command}`, () => {
      const refusal = runner.refusal?.(['/bin/sh', '-c', command]);
      if (refused === undefined) assert.equal(refusal, undefined);
      else assert.ok(refusal?.startsWith(`it names ${refused},`), refusal);
    });
  }
});
