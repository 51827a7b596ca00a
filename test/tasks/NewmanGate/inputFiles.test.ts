import assert from 'node:assert/strict';
import { join } from 'node:path';
import { UserError } from '../../../tasks/core/agent/userError';
import { readCollection } from '../../../tasks/NewmanGate/collectionFile';
import { readEnvironment, withVariables } from '../../../tasks/NewmanGate/environmentFile';
import { readIterationData } from '../../../tasks/NewmanGate/iterationData';
import { collection } from '../../bundle/newmanCollections';
import { folderWith, removeFolders } from '../../bundle/runGateBundle';

function fileOf(content: object | string, name = 'file.json'): string {
  return join(folderWith({ [name]: content }), name);
}

async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

const api = collection('API', [
  { name: 'Smoke', items: [{ name: 'ping', url: 'http://x/' }, { name: 'Deep', items: [{ name: 'pong', url: 'http://x/' }] }] },
  { name: 'single', url: 'http://x/' },
  { name: 'Empty', items: [] },
]);

after(removeFolders);

describe('Collection file', () => {
  it('counts the requests of all folders', async () => {
    const { name, requests } = await readCollection(fileOf(api), undefined);
    assert.deepEqual({ name, requests }, { name: 'API', requests: 3 });
  });

  it('takes a collection as the Postman API wraps it, and one with a byte order mark', async () => {
    assert.equal((await readCollection(fileOf({ collection: api }), undefined)).requests, 3);
    assert.equal((await readCollection(fileOf(`\uFEFF${JSON.stringify(api)}`), undefined)).requests, 3);
  });

  for (const [folder, requests] of [['Smoke', 2], ['Deep', 1], ['single', 1]] as const) {
    it(`counts those of '${folder}' alone when that is to run`, async () => assert.equal((await readCollection(fileOf(api), folder)).requests, requests));
  }

  it('refuses a folder that is not there, and lists those that are', () =>
    rejects(readCollection(fileOf(api), 'Smok'), /^Input 'folder' is not valid: .*no folder or request 'Smok'\. Its folders are: Smoke, Deep, Empty\.$/));
  it('refuses a folder without requests', () => rejects(readCollection(fileOf(api), 'Empty'), /the folder 'Empty' of the collection 'API' has no requests/));

  const refused: [string, object | string, RegExp][] = [
    ['text', 'hello', /is not JSON/],
    ['an empty file', '', /is not JSON: it is empty/],
    ['half a file', JSON.stringify(api).slice(0, 60), /is not JSON/],
    ['a list', [], /is not a Postman collection: it is not a JSON object/],
    ['another JSON document', { name: 'x' }, /it has no 'info' and 'item'/],
    ['format v1', { id: '1', name: 'old', requests: [{}] }, /of format v1, which cannot be run\. Export it/],
    ['another schema', { info: { name: 'x', schema: 'https://schema.getpostman.com/json/collection/v3.0.0/collection.json' }, item: [] }, /is not a Postman collection of format v2: its schema is https/],
    ['an environment', { name: 'e', values: [] }, /is a Postman environment, not a collection/],
    ['a collection without requests', collection('none', [{ name: 'f', items: [] }]), /the collection 'none' in .* has no requests/],
  ];
  for (const [what, content, message] of refused) {
    it(`refuses ${what}`, () => rejects(readCollection(fileOf(content), undefined), new RegExp(`^Input 'collection' is not valid: .*${message.source}`)));
  }
  it('refuses a file that is not there', () =>
    rejects(readCollection('/nowhere/c.json', undefined), /^Input 'collection' is not valid: \/nowhere\/c\.json cannot be read: there is no such file\. Give/));
  it('refuses a folder', () => rejects(readCollection(folderWith({}), undefined), /^Input 'collection' is not valid: .* it is a folder/));
});

describe('Environment file', () => {
  it('gives the variables that are enabled and says which are secret', async () => {
    const file = fileOf({
      name: 'prod',
      values: [
        { key: 'url', value: 'http://x', enabled: true },
        { key: 'off', value: '1', enabled: false },
        { key: 'pin', value: '1234', type: 'secret' },
      ],
    });
    assert.deepEqual(await readEnvironment(file), {
      name: 'prod',
      variables: [
        { key: 'url', value: 'http://x', secret: false },
        { key: 'pin', value: '1234', secret: true },
      ],
    });
  });

  it('gives way to variables of the task, which stay secret where the file says so', () => {
    const file = { name: 'prod', variables: [{ key: 'url', value: 'a', secret: false }, { key: 'pin', value: '', secret: true }] };
    assert.deepEqual(withVariables(file, new Map([['pin', '99'], ['new', 'n']])), {
      name: 'prod',
      values: [
        { key: 'url', value: 'a', type: 'any' },
        { key: 'pin', value: '99', type: 'secret' },
        { key: 'new', value: 'n', type: 'any' },
      ],
    });
  });

  const refused: [string, object | string, RegExp][] = [
    ['text', '{{', /is not JSON/],
    ['a collection', collection('x', []), /is a Postman collection, not an environment/],
    ['another JSON document', {}, /it has no list 'values'/],
    ['a variable without a key', { values: [{ value: 1 }] }, /entry 1 of 'values' has no key/],
  ];
  for (const [what, content, message] of refused) {
    it(`refuses ${what}`, () => rejects(readEnvironment(fileOf(content)), new RegExp(`^Input 'environment' is not valid: .*${message.source}`)));
  }
  it('refuses a file that is not there', () => rejects(readEnvironment('/nowhere/e.json'), /^Input 'environment' is not valid: .* there is no such file/));
});

describe('Iteration data', () => {
  it('gives the rows of a JSON list', async () => assert.deepEqual(await readIterationData(fileOf([{ a: 1 }, { a: 2 }])), [{ a: 1 }, { a: 2 }]));
  it('leaves CSV to newman', async () => {
    const file = fileOf('a,b\n1,"x, y"\n', 'data.csv');
    assert.equal(await readIterationData(file), file);
  });

  const refused: [string, object | string, string, RegExp][] = [
    ['an empty file', '', 'd.csv', /is empty/],
    ['a header alone', 'a,b\n', 'd.csv', /no line below the header/],
    ['broken JSON', '[{"a":1},', 'd.json', /is not JSON/],
    ['text in a .json file', 'a,b', 'd.json', /is not JSON/],
    ['one object', { a: 1 }, 'd.json', /is not a list of objects/],
    ['a list of numbers', [1, 2], 'd.json', /is not a list of objects/],
    ['an empty list', [], 'd.json', /the list is empty/],
  ];
  for (const [what, content, name, message] of refused) {
    it(`refuses ${what}`, () => rejects(readIterationData(fileOf(content, name)), new RegExp(`^Input 'iterationData' is not valid: .*${message.source}`)));
  }
  it('refuses a file that is not there', () => rejects(readIterationData('/nowhere/d.csv'), /^Input 'iterationData' is not valid: .* there is no such file/));
});
