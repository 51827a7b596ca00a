import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemaFaults, taskSchema } from '../../scripts/package';
import { taskManifestFaults } from '../../scripts/taskManifest';
import { pngSize } from './pngSize';
import { callsIn, callsOf, repository, tableRows, taskFolders, type Call } from './taskFolders';

const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };

/** The inputs that inputs.ts reads: by a method of `inputs`, or by a function that is given `inputs` and a name. */
function inputsRead(calls: readonly Call[]): string[] {
  const names = calls.flatMap(({ receiver, arguments: [first, second] }) => {
    const name = receiver === 'inputs' ? first : first?.text === 'inputs' ? second : undefined;
    return name?.literal ? [name.text] : [];
  });
  return [...new Set(names)].sort();
}

describe('the reading of inputs.ts', () => {
  it('sees inputs read by a method and by a function of the file', () => {
    const calls = callsOf('inputs.ts', "inputs.oneOf('a', ['x']); positive(inputs, 'b'); other.text('c'); inputs.text(name);");
    assert.deepEqual(inputsRead(calls), ['a', 'b']);
  });
});

for (const { name, folder, manifest } of taskFolders()) {
  const readme = () => readFileSync(join(folder, 'README.md'), 'utf8');

  describe(`the manifest of ${name}`, () => {
    it('is sound', () => {
      const shipped = readdirSync(folder).map((file) => file.replace(/\.ts$/, '.js'));
      assert.deepEqual(taskManifestFaults(manifest, name, shipped), []);
    });

    it('fits the official schema of task.json (skipped unless ADO_CONTRACT_DIR is set)', async function () {
      const schema = await taskSchema();
      if (schema === undefined) return this.skip();
      assert.deepEqual(schemaFaults(manifest, schema), []);
    });

    it('has the version of the extension', () => {
      const { Major, Minor, Patch } = manifest.version;
      assert.equal(`${Major}.${Minor}.${Patch}`, version);
    });

    it('has an icon of 32 × 32 beside it', () => {
      assert.deepEqual(pngSize(readFileSync(join(folder, 'icon.png'))), [32, 32]);
    });

    it('declares exactly the inputs that inputs.ts reads', () => {
      const read = inputsRead(callsIn(folder).filter(({ file }) => file === 'inputs.ts'));
      assert.deepEqual(read, manifest.inputs.map((input) => input.name).sort());
    });

    it('is read by inputs.ts alone', () => {
      const elsewhere = callsIn(folder).filter((call) => call.name === 'TaskInputs' || (call.receiver === 'agent' && call.name === 'input'));
      assert.deepEqual([...new Set(elsewhere.map(({ file }) => file))], ['inputs.ts']);
    });

    it('declares exactly the outputs that the task sets', () => {
      const set = callsIn(folder).filter((call) => call.name === 'setOutput');
      const computed = set.filter(({ arguments: [first] }) => !first?.literal);
      assert.deepEqual(computed, [], 'name outputs by literals, so that this test can see them');
      const names = new Set(set.map(({ arguments: [first] }) => first?.text));
      assert.deepEqual([...names].sort(), (manifest.outputVariables ?? []).map((output) => output.name).sort());
    });

    it('is told in the README: each input with its default', () => {
      const rows = tableRows(readme(), /^Inputs/);
      assert.deepEqual(rows.map((row) => row.name).sort(), manifest.inputs.map((input) => input.name).sort());
      const wrong = manifest.inputs.filter(({ name: input, defaultValue }) => {
        const row = rows.find((candidate) => candidate.name === input)?.row ?? '';
        return defaultValue && !row.includes(`\`${defaultValue}\``);
      });
      assert.deepEqual(wrong.map((input) => `${input.name}: ${input.defaultValue}`), [], 'the README gives another default or none');
    });

    it('is told in the README: each output', () => {
      const rows = tableRows(readme(), /^Output/);
      assert.deepEqual(rows.map((row) => row.name).sort(), (manifest.outputVariables ?? []).map((output) => output.name).sort());
    });
  });
}

describe('the manifests of all tasks', () => {
  it('are there', () => assert.notEqual(taskFolders().length, 0));

  it('have ids of their own', () => {
    const ids = taskFolders().map(({ manifest }) => manifest.id);
    assert.deepEqual([...new Set(ids)], ids);
  });
});
