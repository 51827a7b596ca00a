import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import type { Exchange } from '../../../rehearsal/azureDevOps/httpFront';
import { CONTRACT_DIR, contractRecorder } from './contractRecorder';

const exchange = (change: Partial<Exchange>): Exchange => ({
  method: 'GET',
  path: 'shop/_apis/build/builds/1',
  query: '',
  contentType: 'application/json',
  apiVersion: '7.1',
  requestBody: undefined,
  status: 200,
  answerType: 'application/json',
  answerBody: { id: 1, status: 'completed' },
  ...change,
});

/** Faults of the published examples themselves: they are older than the schemas, and one was made up from its schema. */
const KNOWN_EXAMPLE_FAULTS = /NOT have additional properties|^POST 1\/_apis\/build\/builds\/1\/tags: the answer is no/;

interface Example {
  parameters?: { body?: unknown };
  responses: Record<string, { body?: unknown }>;
}

(CONTRACT_DIR ? describe : describe.skip)('the recorder of the Azure DevOps contract (needs ADO_CONTRACT_DIR)', () => {
  const broken: [what: string, change: Partial<Exchange>, violation: RegExp][] = [
    ['a path of no operation', { path: 'shop/_apis/build/bilds/1' }, /no operation of the specifications/],
    ['a method of no operation', { method: 'DELETE' }, /no operation/],
    ['an unknown query parameter', { query: 'propertyFilter=x' }, /unknown query parameter propertyFilter/],
    ['an unknown value of a query parameter', { path: 'shop/_apis/build/builds', query: 'statusFilter=done', answerBody: { count: 0, value: [] } }, /statusFilter has an unknown value: done/],
    ['text where a number is due', { path: 'shop/_apis/build/builds', query: '$top=all', answerBody: { count: 0, value: [] } }, /\$top is no whole number/],
    ['no api-version', { apiVersion: undefined }, /no api-version/],
    ['an operation that 7.1 does not have', { path: 'shop/_apis/pipelines/environments', answerBody: { count: 0, value: [] } }, /does not exist in api-version 7\.1/],
    ['a preview called as if it were released', { path: 'shop/_apis/pipelines/checks/configurations', answerBody: { count: 0, value: [] } }, /is a preview/],
    ['a member that no request has', { method: 'POST', path: 'shop/_apis/pipelines/1/runs', requestBody: { parameters: {} }, answerBody: { id: 1 } }, /request body \/ .*: parameters/],
    ['a member of a wrong type', { method: 'POST', path: 'shop/_apis/pipelines/1/runs', requestBody: { stagesToSkip: 'build' }, answerBody: { id: 1 } }, /request body \/stagesToSkip must be array,null/],
    ['a request without its body', { method: 'POST', path: 'shop/_apis/pipelines/1/runs', answerBody: { id: 1 } }, /the request has no body/],
    ['a body where none belongs', { requestBody: {} }, /takes no body/],
    ['an unknown status in an answer', { answerBody: { id: 1, status: 'done' } }, /answer body \/status must be one of the allowed values/],
    ['an inherited member of a wrong type', { path: 'shop/_apis/build/definitions/1', answerBody: { id: 'one' } }, /answer body \/id must be integer,null/],
    ['a list that is not wrapped', { path: 'shop/_apis/build/builds', answerBody: [] }, /no \{count, value\}/],
    ['a list that miscounts', { path: 'shop/_apis/build/builds', answerBody: { count: 2, value: [] } }, /no \{count, value\}/],
    ['an error of another form', { status: 404, answerBody: { message: 'no' } }, /error answer \(404\) lacks \$id/],
  ];
  for (const [what, change, violation] of broken) {
    it(`notices ${what}`, async () => {
      const recorder = await contractRecorder(CONTRACT_DIR);
      recorder.check(exchange(change));
      assert.equal(recorder.violations.length, 1, recorder.violations.join('\n'));
      assert.match(recorder.violations[0] ?? '', violation);
    });
  }

  it('tolerates what the services are known to do', async () => {
    const recorder = await contractRecorder(CONTRACT_DIR);
    recorder.check(exchange({ answerBody: { id: 1, status: 'Completed', result: null, _links: { self: { href: 'x' } } } }));
    recorder.check(exchange({ path: 'SHOP/_APIS/Build/Builds', query: 'statusFilter=InProgress,completed', answerBody: { count: 0, value: [] } }));
    recorder.check(exchange({ path: 'shop/_apis/build/builds/1/timeline', status: 204, answerType: '', answerBody: undefined }));
    recorder.check(exchange({ status: 203, answerType: 'text/html', answerBody: '<html>' }));
    assert.deepEqual(recorder.violations, []);
  });

  it("accepts the specifications' own examples", async () => {
    const recorder = await contractRecorder(CONTRACT_DIR);
    for (const file of ['core', 'build', 'release', 'pipelinesApproval', 'pipelinesChecks']) {
      const specification = JSON.parse(await readFile(path.join(CONTRACT_DIR, `${file}.json`), 'utf8')) as Record<'paths' | 'x-ms-paths', Record<string, Record<string, { 'x-example-files'?: Record<string, string> }>>>;
      for (const [route, methods] of Object.entries({ ...specification.paths, ...specification['x-ms-paths'] })) {
        for (const [method, operation] of Object.entries(methods)) {
          for (const example of Object.values(operation['x-example-files'] ?? {})) {
            const { parameters, responses } = JSON.parse(await readFile(path.join(CONTRACT_DIR, example), 'utf8')) as Example;
            const [address = ''] = route.split('?');
            recorder.check(
              exchange({
                method: method.toUpperCase(),
                path: address.replace('/{organization}/', '').replaceAll(/\{\w+\}/g, '1'),
                apiVersion: '7.2-preview.1',
                requestBody: parameters?.body,
                answerType: responses['200']?.body === undefined ? 'text/html' : 'application/json',
                answerBody: responses['200']?.body,
              }),
            );
          }
        }
      }
    }
    assert.ok(recorder.exchanges > 20);
    assert.deepEqual(recorder.violations.filter((line) => !KNOWN_EXAMPLE_FAULTS.test(line)), []);
  });
});
