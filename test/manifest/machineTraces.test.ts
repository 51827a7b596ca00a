import assert from 'node:assert/strict';
import { projectFiles, read } from './documents';

/** A folder of one person's or one build's machine; those of the hosted agents are everybody's. */
function machinePath(text: string): string | undefined {
  return /(?<![\w./\\*-])\/(work|root|home\/(?!vsts|agent|runner)\w+|Users\/(?!runner)\w+)\/[\w.-]*/.exec(text)?.[0];
}

/** The registry that npm uses here, unless it is the public one. */
function privateRegistry(): string | undefined {
  const registry = process.env['npm_config_registry'] ?? '';
  const host = URL.canParse(registry) ? new URL(registry).host : undefined;
  return host === 'registry.npmjs.org' ? undefined : host;
}

describe('machinePath', () => {
  const cases: [string, boolean][] = [
    ['see /' + 'home/ada/project', true],
    ["'/" + "work/main'", true],
    ['cp x /' + 'root/.kube', true],
    ['/home/vsts/work/1/s', false],
    ['rootfs/root/x and /rootless/', false],
    ['https://example.com/work/x', false],
  ];
  for (const [text, found] of cases) it(`${found ? 'finds' : 'passes'} ${text}`, () => assert.equal(machinePath(text) !== undefined, found));
});

describe('the files of the project', () => {
  const files = projectFiles().filter((file) => !file.endsWith('.png'));

  it('name no folder of the machine they were written on', () => {
    const traces = files.map((file) => [file, machinePath(read(file))]).filter(([, path]) => path !== undefined);
    assert.deepEqual(traces, []);
  });

  it('name no private package registry', () => {
    const host = privateRegistry();
    const naming = host === undefined ? [] : files.filter((file) => read(file).includes(host));
    assert.deepEqual(naming, []);
    assert.doesNotMatch(read('package-lock.json'), /"resolved": "http/);
  });

  it('leave it to .ci/run to know where test data lies', () => {
    const knowing = files.filter((file) => /\.\.\/shared\b/.test(read(file)));
    assert.deepEqual(knowing.filter((file) => file !== '.ci/run'), []);
  });
});
