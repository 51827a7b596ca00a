import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pngSize } from './pngSize';
import { repository, taskFolders } from './taskFolders';

interface ExtensionManifest {
  readonly [key: string]: unknown;
  readonly version: string;
  readonly description: string;
  readonly public: boolean;
  readonly categories: readonly string[];
  readonly targets: readonly { readonly id: string }[];
  readonly icons: { readonly default: string };
  readonly content: Readonly<Record<string, { readonly path: string }>>;
  readonly links: Readonly<Record<string, { readonly uri: string }>>;
  readonly files: readonly { readonly path: string; readonly addressable?: boolean }[];
  readonly contributions: readonly {
    readonly id: string;
    readonly type: string;
    readonly targets: readonly string[];
    readonly properties: { readonly name: string };
  }[];
}

const read = (name: string) => JSON.parse(readFileSync(join(repository, name), 'utf8')) as ExtensionManifest;

describe('vss-extension.json', () => {
  const manifest = read('vss-extension.json');
  const tasks = taskFolders().map(({ name }) => name);

  it('has what the marketplace requires', () => {
    for (const key of ['manifestVersion', 'id', 'version', 'name', 'publisher', 'categories', 'targets']) assert.ok(key in manifest, key);
    assert.deepEqual(manifest.targets, [{ id: 'Microsoft.VisualStudio.Services' }]);
    assert.deepEqual(manifest.categories, ['Azure Pipelines']);
    assert.ok(manifest.description.length <= 200);
  });

  it('has the version of package.json', () => assert.equal(manifest.version, read('package.json').version));

  it('is private until someone decides otherwise', () => assert.equal(manifest.public, false));

  it('links to help, licence and privacy', () => {
    assert.deepEqual(Object.keys(manifest.links).sort(), ['getstarted', 'license', 'privacypolicy', 'support']);
    for (const { uri } of Object.values(manifest.links)) assert.equal(new URL(uri).protocol, 'https:');
  });

  it('has an icon of 128 × 128', () => {
    assert.deepEqual(pngSize(readFileSync(join(repository, manifest.icons.default))), [128, 128]);
  });

  it('contributes every task, and its folder', () => {
    const contributed = manifest.contributions.filter(({ type }) => type === 'ms.vss-distributed-task.task');
    assert.deepEqual(contributed.map(({ properties }) => properties.name).sort(), tasks);
    for (const { targets } of contributed) assert.deepEqual(targets, ['ms.vss-distributed-task.tasks']);
    const paths = manifest.files.map(({ path }) => path);
    assert.deepEqual(tasks.filter((task) => !paths.includes(task)), []);
    const ids = manifest.contributions.map(({ id }) => id);
    assert.deepEqual([...new Set(ids)], ids);
  });

  it('names only files that packaging stages', () => {
    const staged = (path: string) => tasks.includes(path) || path === 'THIRD_PARTY_NOTICES.txt' || existsSync(join(repository, path));
    const named = [...manifest.files, ...Object.values(manifest.content)].map(({ path }) => path);
    assert.deepEqual(named.filter((path) => !staged(path)), []);
  });
});
