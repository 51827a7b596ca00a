import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundledPackageFolders, chosenLicense, renderNotices, thirdPartyNotices } from '../../scripts/notices';

const metafile = (inputs: Record<string, number>) => ({
  outputs: {
    'dist/tasks/X/main.js': {
      bytes: 1,
      imports: [],
      exports: [],
      inputs: Object.fromEntries(Object.entries(inputs).map(([file, bytesInOutput]) => [file, { bytesInOutput }])),
    },
  },
});

describe('bundledPackageFolders', () => {
  it('names each package whose code is in an output, scoped and nested ones too', () => {
    const inputs = {
      'tasks/X/main.ts': 9,
      'node_modules/ws/lib/receiver.js': 5,
      'node_modules/ws/lib/sender.js': 5,
      'node_modules/@scope/name/index.js': 5,
      'node_modules/ws/node_modules/deep/index.js': 5,
      'node_modules/shaken-out/index.js': 0,
      'left-out:terser': 3,
    };
    assert.deepEqual(bundledPackageFolders([metafile(inputs), metafile({ 'node_modules/yaml/index.js': 1 })]), [
      'node_modules/@scope/name',
      'node_modules/ws',
      'node_modules/ws/node_modules/deep',
      'node_modules/yaml',
    ]);
  });
});

describe('chosenLicense', () => {
  const cases: [string, object, string][] = [
    ['a single licence', { license: 'ISC' }, 'ISC'],
    ['BSD where GPL is the other choice', { license: '(BSD-3-Clause OR GPL-2.0)' }, 'BSD-3-Clause'],
    ['the form of old packages', { license: { type: 'MIT', url: 'x' } }, 'MIT'],
    ['a list of old packages', { licenses: [{ type: 'GPL-3.0' }, { type: 'Apache-2.0' }] }, 'Apache-2.0'],
    ['what was confirmed by reading', { name: 'stack-trace', version: '0.0.9' }, 'MIT'],
  ];
  for (const [what, manifest, license] of cases) {
    it(`takes ${what}`, () => assert.equal(chosenLicense({ name: 'sample', version: '1.0.0', ...manifest }), license));
  }

  for (const license of ['GPL-3.0', 'MIT AND GPL-3.0', 'SEE LICENSE IN file', undefined]) {
    it(`refuses ${license ?? 'none'}`, () => {
      assert.throws(() => chosenLicense({ name: 'sample', version: '1.0.0', license }), /^Error: sample@1\.0\.0 is bundled under .*: read its licence/);
    });
  }
});

describe('thirdPartyNotices', () => {
  let root: string;
  beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'notices-'))));
  afterEach(() => rm(root, { recursive: true }));

  async function install(name: string, manifest: object, files: Record<string, string> = {}): Promise<void> {
    const folder = join(root, 'node_modules', name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name, version: '1.0.0', ...manifest }));
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  }
  const notices = (...names: string[]) =>
    thirdPartyNotices(root, [metafile(Object.fromEntries(names.map((name) => [`node_modules/${name}/index.js`, 1])))], 'Changed files: none.');

  it('holds the licence and the notice of a package, and what was changed', async () => {
    await install('both', { license: 'Apache-2.0' }, { LICENSE: 'the licence\r\n', 'NOTICE.txt': 'the notice', 'license.js': 'code' });
    const text = await notices('both');
    assert.match(text, /both 1\.0\.0 \(Apache-2\.0\)\n\nthe licence\n\nthe notice\n/);
    assert.match(text, /^Changed files: none\.$/m);
    assert.doesNotMatch(text, /code/);
  });

  it('gives the standard text with the author where a package ships none', async () => {
    await install('bare', { license: 'MIT', author: { name: 'Ada $1' } });
    const text = await notices('bare');
    assert.match(text, /Copyright \(c\) Ada \$1\n/);
    assert.match(text, /Permission is hereby granted/);
  });

  it('names every package without an accepted licence at once', async () => {
    await install('good', { license: 'MIT' });
    await install('worse', { license: 'UNLICENSED' });
    await install('worst', {});
    await assert.rejects(notices('good', 'worse', 'worst'), /worse@1\.0\.0 is bundled under 'UNLICENSED'.*\nworst@1\.0\.0 is bundled under no declared licence/);
  });

  it('prints a shared text once, and each package once', () => {
    const one = { name: 'one', version: '1.0.0', license: 'MIT', text: 'same' };
    const text = renderNotices([one, { ...one, name: 'two' }, one], '');
    assert.match(text, /the following 2 packages/);
    assert.match(text, /one 1\.0\.0 \(MIT\)\ntwo 1\.0\.0 \(MIT\)\n\nsame\n$/);
  });
});
