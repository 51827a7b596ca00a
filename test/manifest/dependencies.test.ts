import assert from 'node:assert/strict';
import { read } from './documents';

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const { dependencies, devDependencies } = JSON.parse(read('package.json')) as PackageJson;

/** The packages in the first cells of a section's tables. */
function described(heading: string): string[] {
  const section = read('docs/dependencies.md').split(/^## /m).find((part) => part.startsWith(heading)) ?? '';
  const cells = [...section.matchAll(/^\| *(`[^|]*`) *\|/gm)].map(([, cell = '']) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)).sort();
}

describe('docs/dependencies.md', () => {
  it('names every package of the extension and no other', () => {
    assert.deepEqual(described('In the extension'), Object.keys(dependencies).sort());
  });

  it('names every package for development and no other', () => {
    assert.deepEqual(described('For development'), Object.keys(devDependencies).sort());
  });
});

describe('package.json', () => {
  it('pins every version', () => {
    const ranges = Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^(?:npm:[\w./@-]+@)?\d+\.\d+\.\d+$/.test(version));
    assert.deepEqual(ranges, []);
  });
});
