import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import { Builds } from '../../../tasks/core/azureDevOps/builds';
import { AzureDevOpsClient } from '../../../tasks/core/azureDevOps/client';
import { organizationUrls } from '../../../tasks/core/azureDevOps/organizationUrl';
import type { Build } from '../../../tasks/core/azureDevOps/restTypes';
import { claimable, claimRun, markTriggered, type RunWanted } from '../../../tasks/core/azureDevOps/runClaim';
import { ServiceUnreachable } from '../../../tasks/core/azureDevOps/serviceError';
import { httpTransport } from '../../../tasks/core/azureDevOps/transport';
import { triggerOnce } from '../../../tasks/core/azureDevOps/triggerOnce';
import { systemClock } from '../../../tasks/core/time/clock';

const SETTLE_MS = 300;

describe('triggerOnce', () => {
  const lost = () => new ServiceUnreachable('x', 'ECONNRESET', 'lost', true);
  const clock = { now: () => 0, sleep: () => Promise.resolve() };

  it('creates once where it is answered', async () => {
    let created = 0;
    assert.equal(await triggerOnce({ create: () => Promise.resolve(++created), find: () => assert.fail() }, clock), 1);
  });

  it('takes what it finds after a lost answer', async () => {
    let created = 0;
    const find = () => Promise.resolve(42);
    assert.equal(await triggerOnce({ create: () => Promise.reject((created++, lost())), find }, clock), 42);
    assert.equal(created, 1);
  });

  it('looks several times before it creates again', async () => {
    let created = 0;
    let looked = 0;
    const create = () => (++created === 1 ? Promise.reject(lost()) : Promise.resolve(7));
    assert.equal(await triggerOnce({ create, find: () => Promise.resolve(void looked++) }, clock, { lookAfterMs: [0, 1, 2] }), 7);
    assert.deepEqual([created, looked], [2, 3]);
  });

  it('sends nothing more once it is stopped', async () => {
    const controller = new AbortController();
    let created = 0;
    const create = () => Promise.reject((created++, controller.abort(new Error('stop')), lost()));
    await assert.rejects(triggerOnce({ create, find: () => Promise.resolve(undefined) }, clock, { signal: controller.signal }), /stop/);
    assert.equal(created, 1);
  });

  it('does not look for anything after a refusal', async () => {
    await assert.rejects(triggerOnce({ create: () => Promise.reject(new Error('refused')), find: () => assert.fail() }, clock), /refused/);
  });
});

describe('claimable', () => {
  const wanted: RunWanted = { definition: 1, branch: 'refs/heads/main', commit: undefined, variables: { Region: 'eu' }, parameters: { size: '3' } };
  const run = (changes: Partial<Build>): Build => ({ id: 5, sourceBranch: 'refs/heads/main', parameters: '{"region":"eu"}', templateParameters: { size: '3', more: 'x' }, requestedFor: { id: 'ME' }, ...changes });
  const marked = (name: string, value: string) => ({ properties: { [`ReleaseGuard.${name}`]: { $value: value } } });
  const cases: [string, Partial<Build>, boolean][] = [
    ['a run that was asked for alike', {}, true],
    ['one on another branch', { sourceBranch: 'refs/heads/x' }, false],
    ['one with another variable', { parameters: '{"region":"us"}' }, false],
    ['one with another parameter', { templateParameters: { size: '4' } }, false],
    ['one by somebody else', { requestedFor: { id: 'you' } }, false],
    ['one whose trigger was answered', marked('Triggered', 'other'), false],
    ['one that somebody has claimed', marked('Claimed', 'other'), false],
    ['one that is marked as ours', marked('Triggered', 'mine'), true],
    ['one of which the service tells little', { parameters: undefined as never, templateParameters: undefined as never }, true],
  ];
  for (const [name, changes, taken] of cases) {
    it(`${taken ? 'takes' : 'leaves'} ${name}`, () => assert.equal(claimable([run(changes)], wanted, 'mine', 'me').length, taken ? 1 : 0));
  }
});

describe('triggers that lose their answers', () => {
  let simulator: AzureDevOpsSimulator;
  let client: AzureDevOpsClient;
  let builds: Builds;
  let definition: number;

  beforeEach(async () => {
    simulator = await startAzureDevOps();
    definition = simulator.addPipeline({ name: 'api', stages: [{ name: 'build', jobs: [{ name: 'job', tasks: [{ name: 'work', duration: 600_000 }] }] }] });
    client = new AzureDevOpsClient({
      urls: organizationUrls(simulator.organizationUrl),
      credentials: { scheme: 'bearer', token: simulator.tokens.full, source: 'test' },
      transport: httpTransport(() => ({ proxyUrl: undefined, caFile: undefined })),
      retryDelayMs: 10,
    });
    builds = new Builds(client, 'shop');
  });
  afterEach(async () => {
    client.close();
    await simulator.stop();
  });

  /** One trigger; what it gives is the id of its run. */
  async function trigger(mark: string): Promise<number | undefined> {
    const startedAt = Date.now();
    const wanted: RunWanted = { definition, branch: undefined, commit: undefined, variables: {}, parameters: {} };
    const run = await triggerOnce<Build>(
      {
        create: async () => {
          const { id = 0 } = await builds.runPipeline(definition, {});
          await markTriggered(builds, id, mark);
          return { id };
        },
        find: () => claimRun(client, builds, wanted, { mark, startedAt, clock: systemClock, settleMs: SETTLE_MS }),
      },
      systemClock,
      { lookAfterMs: [0, 50] },
    );
    return run.id;
  }
  const drop = (when: 'before' | 'after', count: number, skip = 0) => simulator.faults.add({ method: 'POST', path: /\/runs/, count, skip, fault: { kind: 'reset', when } });
  const marks = (count: number) => Array.from({ length: count }, (_, index) => `mark-${index}-${Math.random()}`);

  it('give each its own run: three one after the other, each answer dropped once', async () => {
    for (const mark of marks(3)) {
      drop('after', 1);
      assert.ok(await trigger(mark));
      simulator.faults.clear();
    }
    assert.equal(simulator.builds.length, 3);
  });

  it('give each its own run: ten at a time, all first answers dropped', async () => {
    drop('after', 10);
    const ids = await Promise.all(marks(10).map(trigger));
    assert.equal(simulator.builds.length, 10);
    assert.equal(new Set(ids).size, 10);
  });

  it('give each its own run: ten at a time, some requests lost on the way, some answers', async () => {
    drop('before', 3);
    drop('after', 4, 3);
    const ids = await Promise.all(marks(10).map(trigger));
    assert.equal(simulator.builds.length, 10);
    assert.equal(new Set(ids).size, 10);
  });

  it('send again what never arrived', async () => {
    drop('before', 1);
    assert.ok(await trigger('mark'));
    assert.equal(simulator.builds.length, 1);
  });

  it('do not take the run of a trigger that got its answer', async () => {
    const other = await trigger('other');
    drop('after', 1);
    const own = await trigger('own');
    assert.notEqual(own, other);
    assert.equal(simulator.builds.length, 2);
  });
});
