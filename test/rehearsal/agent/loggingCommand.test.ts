import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLoggingCommand, looksLikeCommand } from '../../../rehearsal/agent/loggingCommand';

interface Vector {
  readonly line: string;
  readonly decodePercents: boolean;
  readonly expect: ReturnType<typeof parseLoggingCommand> | null;
}

describe('a logging command', () => {
  const folder = process.env['ADO_CONTRACT_DIR'];
  const file = folder ? join(folder, 'agent-command-vectors.json') : '';

  it("is parsed as the agent's own vectors say", function () {
    if (!existsSync(file)) {
      console.log('      skipped: set ADO_CONTRACT_DIR to a folder with agent-command-vectors.json');
      return this.skip();
    }
    const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] };
    assert.ok(vectors.length > 10);
    for (const { line, decodePercents, expect } of vectors) {
      assert.deepEqual(parseLoggingCommand(line, decodePercents) ?? null, expect, line);
    }
  });

  for (const [line, expected] of [
    ['##vso[task.complete result=Failed;]no', { area: 'task', event: 'complete', properties: { result: 'Failed' }, data: 'no' }],
    ['a ##vso[Task.SetVariable Variable=x;isSecret=true]y', { area: 'task', event: 'setvariable', properties: { Variable: 'x', isSecret: 'true' }, data: 'y' }],
    ['##vso[task.debug]50%AZP25 of 100%25', { area: 'task', event: 'debug', properties: {}, data: '50% of 100%25' }],
    ['##vso[task.setvariable variable=a=b;empty=]', { area: 'task', event: 'setvariable', properties: { variable: 'a=b' }, data: '' }],
    ['##vso[task]x', undefined],
    ['##vso[task.debug no end', undefined],
    ['##VSO[task.debug]x', undefined],
  ] as const) {
    it(`is read from ${line}`, () => assert.deepEqual(parseLoggingCommand(line), expected));
  }

  it('is suspected where the keyword stands in a line that does not parse', () => {
    assert.ok(looksLikeCommand('see ##vso docs'));
    assert.ok(!looksLikeCommand('## vso'));
  });
});
