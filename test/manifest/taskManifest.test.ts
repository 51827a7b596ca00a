import assert from 'node:assert/strict';
import { type TaskInput, type TaskJson, taskManifestFaults } from '../../scripts/taskManifest';

const input: TaskInput = { name: 'mode', type: 'pickList', label: 'Mode', helpMarkDown: 'How.', defaultValue: 'fast', options: { fast: 'Fast', slow: 'Slow' } };
const sound: TaskJson = {
  id: '11111111-2222-3333-4444-555555555555',
  name: 'Sample',
  friendlyName: 'Sample',
  description: 'Does it.',
  helpMarkDown: 'Example.',
  minimumAgentVersion: '4.248.0',
  version: { Major: 1, Minor: 0, Patch: 0 },
  instanceNameFormat: 'Sample $(mode)',
  inputs: [input],
  outputVariables: [{ name: 'outcome', description: 'How it ended.' }],
  restrictions: { settableVariables: { allowed: ['outcome'] } },
  execution: { Node20_1: { target: 'main.js' }, Node24: { target: 'main.js' } },
};
const second = (changes: Partial<TaskInput>): Partial<TaskJson> => ({
  inputs: [input, { name: 'wait', type: 'boolean', label: 'Wait', helpMarkDown: 'Waits.', ...changes }],
});

describe('taskManifestFaults', () => {
  it('finds nothing in a sound manifest', () => {
    assert.deepEqual(taskManifestFaults({ ...sound, ...second({ visibleRule: 'mode = slow && mode != fast' }) }, 'Sample', ['main.js']), []);
  });

  it('lets a list that can be typed into have any default', () => {
    const editable = second({ type: 'pickList', options: { a: 'A' }, defaultValue: 'b', properties: { EditableOptions: 'True' } });
    assert.deepEqual(taskManifestFaults({ ...sound, ...editable }, 'Sample', ['main.js']), []);
  });

  const cases: [Partial<TaskJson>, string][] = [
    [{ id: 'x' }, 'id is not a GUID in lower case'],
    [{ name: 'Other' }, "name is 'Other', its folder is 'Sample'"],
    [{ friendlyName: 'x'.repeat(41) }, 'friendlyName must have 1 to 40 characters'],
    [{ helpMarkDown: '' }, 'helpMarkDown is missing'],
    [{ minimumAgentVersion: '2.0.0' }, 'minimumAgentVersion must be 4.248.0, the first that runs these handlers'],
    [{ instanceNameFormat: 'Sample $(image)' }, 'instanceNameFormat names the unknown input image'],
    [{ execution: { Node20_1: { target: 'main.js' } } }, 'execution must have the handlers Node20_1 and Node24'],
    [{ execution: { Node20_1: { target: 'main.js' }, Node24: { target: 'old.js' } } }, 'execution has different targets'],
    [{ postjobexecution: { Node20_1: { target: 'post.js' }, Node24: { target: 'post.js' } } }, 'postjobexecution names post.js, which is not there'],
    [second({ name: 'Mode' }), 'mode: declared twice'],
    [second({ name: 'wait-for' }), 'wait-for: not in camel case'],
    [second({ aliases: ['mode'] }), 'mode: declared twice'],
    [second({ label: '' }), 'wait: label is missing'],
    [second({ helpMarkDown: '' }), 'wait: helpMarkDown is missing'],
    [second({ groupName: 'none' }), 'wait: unknown group none'],
    [second({ defaultValue: 'yes' }), "wait: the default 'yes' is not a value of it"],
    [second({ type: 'pickList' }), 'wait: a pickList needs options'],
    [second({ visibleRule: '(mode = slow)' }), 'wait: visibleRule has parentheses or mixes && and ||'],
    [second({ visibleRule: 'mode = slow && wait = true || mode = fast' }), 'wait: visibleRule has parentheses or mixes && and ||'],
    [second({ visibleRule: 'speed = slow' }), "wait: visibleRule has no input of this task in 'speed = slow'"],
    [second({ visibleRule: 'mode = slwo' }), "wait: visibleRule compares mode with 'slwo', which it never is"],
    [{ restrictions: {} }, 'restrictions.settableVariables.allowed is missing: list what the task sets, or nothing'],
    [{ restrictions: { settableVariables: { allowed: [] } } }, 'output outcome: not among the settable variables'],
    [{ restrictions: { commands: { mode: 'restricted' }, settableVariables: { allowed: ['outcome'] } } }, 'restrictions.commands.mode must not be restricted'],
    [{ outputVariables: [{ name: 'outcome' }] }, 'output outcome: description is missing'],
  ];
  for (const [changes, fault] of cases) {
    it(`says: ${fault}`, () => {
      const faults = taskManifestFaults({ ...sound, ...changes }, 'Sample', ['main.js', 'old.js']);
      assert.ok(faults.includes(fault), faults.join('\n'));
    });
  }
});
