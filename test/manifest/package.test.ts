import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type PackedFile, marketplacePage, packageExtension, packedTaskFaults, readVsix, vsixFaults } from '../../scripts/package';
import { taskFolders } from './taskFolders';

const file = (path: string, content = ''): PackedFile => ({ path, content: Buffer.from(content) });
const contributing = (...names: string[]) =>
  file('extension.vsomanifest', JSON.stringify({ contributions: names.map((name) => ({ type: 'ms.vss-distributed-task.task', properties: { name } })) }));
const documents = ['README.md', 'LICENSE', 'THIRD_PARTY_NOTICES.txt'].map((name) => file(name));

describe('vsixFaults', () => {
  const cases: [string, PackedFile[], string[]][] = [
    ['nothing in a sound package', [contributing('Gate'), ...documents, file('Gate/main.js', 'run()')], []],
    ['a missing manifest', documents, ['extension.vsomanifest is missing']],
    ['a task nobody can install', [contributing(), ...documents], ['Gate is built, but vss-extension.json does not contribute it']],
    ['a contribution without a task', [contributing('Gate', 'Other'), ...documents], ['vss-extension.json contributes Other, which was not built']],
    ['missing notices', [contributing('Gate'), ...documents.slice(0, 2)], ['THIRD_PARTY_NOTICES.txt is missing']],
    ['node_modules', [contributing('Gate'), ...documents, file('Gate/node_modules/x.js')], ['Gate/node_modules/x.js is below node_modules']],
    ['a source map', [contributing('Gate'), ...documents, file('Gate/main.js.map')], ['Gate/main.js.map is a source map']],
    ['a path of the machine', [contributing('Gate'), ...documents, file('Gate/main.js', '"/build/here/x"')], ['Gate/main.js contains the folder it was built in']],
  ];
  for (const [what, packed, faults] of cases) {
    it(`finds ${what}`, () => assert.deepEqual(vsixFaults(packed, ['Gate'], '/build/here'), faults));
  }

  it('finds a Windows path as it stands in a string literal', () => {
    const packed = [contributing('Gate'), ...documents, file('Gate/main.js', String.raw`"C:\\agent\\work\\x"`)];
    assert.deepEqual(vsixFaults(packed, ['Gate'], String.raw`C:\agent\work`), ['Gate/main.js contains the folder it was built in']);
  });
});

describe('marketplacePage', () => {
  const cases: [string, string][] = [
    ['[security](docs/security.md#rbac)', '[security](https://example.com/x/blob/main/docs/security.md#rbac)'],
    ['[site](https://example.org/a)', '[site](https://example.org/a)'],
    ['[below](#inputs)', '[below](#inputs)'],
    ['![icon](images/extension-icon.png)', '![icon](images/extension-icon.png)'],
  ];
  for (const [readme, page] of cases) it(`turns ${readme} into ${page}`, () => assert.equal(marketplacePage(readme, 'https://example.com/x'), page));
});

describe('packedTaskFaults', () => {
  it('finds a task without a manifest', () => {
    assert.deepEqual(packedTaskFaults([file('Other/task.json', '{}')], 'Gate', undefined), ['Gate/task.json is missing']);
  });

  it('checks by the schema that it is given', () => {
    const manifest = file('Gate/task.json', JSON.stringify({ id: 1, inputs: [], execution: {} }));
    const schema = { properties: { id: { type: 'string' } } };
    assert.ok(packedTaskFaults([manifest], 'Gate', schema).includes('Gate: task.json/id must be string'));
  });
});

describe('npm run package', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'package-'))));
  afterEach(() => rm(folder, { recursive: true }));

  it('makes one sound .vsix with every task and the notices, under the given publisher', async () => {
    const names = taskFolders().map(({ name }) => name);
    const { file: vsix, tasks, bytes } = await packageExtension({ folder, publisher: 'acme' });
    assert.match(basename(vsix), /^acme\.release-guard-\d+\.\d+\.\d+\.vsix$/);
    assert.deepEqual(tasks.map(({ name }) => name), names);
    assert.ok(tasks.every((task) => task.compressedBytes > 0 && task.compressedBytes < task.bytes));

    const content = await readFile(vsix);
    assert.equal(bytes, content.length);
    const packed = await readVsix(content);
    const notices = packed.find(({ path }) => path === 'THIRD_PARTY_NOTICES.txt')?.content.toString() ?? '';
    assert.match(notices, /^azure-pipelines-task-lib \S+ \(MIT\)$/m);
    assert.match(notices, /^newman \S+ \(Apache-2\.0\)$/m);
    assert.match(notices, /^ +postman-runtime\/lib\/runner\/run\.js: /m);
  });
});
