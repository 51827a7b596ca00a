import * as assert from 'node:assert/strict';
import type { Deployment } from '../../../tasks/core/kubernetes/objects';
import { watchRollouts, type RolloutsEnd } from '../../../tasks/core/kubernetes/watchRollouts';
import { ApiServer, type Answer } from './apiServer';
import { deployment } from './objectsMadeUp';

type Lines = ReturnType<Answer['lines']>;

const TIMEOUT_MS = 600;
const begun = deployment({ status: { observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3 }, metadata: { resourceVersion: '5' } });
const done = deployment({ metadata: { resourceVersion: '6' } });

describe('the time that a rollout watch is charged with', () => {
  let server: ApiServer;
  let isDown = false;
  let isDone = false;
  const open = new Set<Lines>();
  beforeEach(async () => {
    [isDown, isDone] = [false, false];
    open.clear();
    server = await ApiServer.start('HTTP/2', (request, answer) => {
      if (isDown) return answer.reset();
      if (!request.query.has('watch')) return answer.json(200, { metadata: { resourceVersion: '5' }, items: [] });
      const lines = answer.lines();
      open.add(lines);
      if (isDone && request.path.endsWith('/deployments')) lines.write({ type: 'MODIFIED', object: done });
    });
  });
  afterEach(() => server.stop());

  const watch = (object: Deployment, opened?: () => void): Promise<RolloutsEnd> => {
    const client = server.client();
    // All three watches are open when the last of them is.
    const asked = setInterval(() => open.size === 3 && (clearInterval(asked), opened?.()), 5);
    return watchRollouts(client, {
      workloads: [{ kind: 'Deployment', object, before: undefined }],
      graces: { imagePull: 100, unschedulable: 100, crashLoopRestarts: 2 },
      replicaFailureGraceMs: 100,
      timeoutMs: TIMEOUT_MS,
      signal: AbortSignal.timeout(10_000),
    }).finally(() => clearInterval(asked));
  };
  const goDown = () => {
    isDown = true;
    for (const lines of open) lines.end();
  };

  it('is its own time while the server answers', async () => {
    const began = performance.now();
    const end = await watch(begun);
    assert.equal(end.kind === 'failed' && end.failed[0]?.verdict.reason, 'Timeout');
    assert.ok(performance.now() - began < 10 * TIMEOUT_MS);
  });

  it('is not that of an outage', async () => {
    const began = performance.now();
    const end = await watch(begun, () => {
      goDown();
      setTimeout(() => ([isDown, isDone] = [false, true]), TIMEOUT_MS);
    });
    assert.equal(end.kind, 'complete', JSON.stringify(end.kind === 'failed' && end.failed[0]?.verdict));
    assert.ok(performance.now() - began >= TIMEOUT_MS);
  });

  it('is that of an outage where it lasts longer than the timeout itself', async () => {
    const began = performance.now();
    const end = await watch(begun, goDown);
    const [failed] = end.kind === 'failed' ? end.failed : [];
    assert.equal(failed?.verdict.reason, 'Timeout');
    assert.ok(performance.now() - began >= 1.9 * TIMEOUT_MS);
  });
});
