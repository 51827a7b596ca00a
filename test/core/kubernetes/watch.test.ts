import * as assert from 'node:assert/strict';
import type { KubernetesObject } from '../../../tasks/core/kubernetes/objects';
import { observe, type WatchOptions } from '../../../tasks/core/kubernetes/watch';
import { ApiServer, type Answer, type Handler, type Protocol, type SeenRequest } from './apiServer';

const PATH = '/api/v1/namespaces/shop/pods';
const object = (name: string, version: number) => ({ metadata: { name, uid: name, resourceVersion: String(version) } });
const list = (version: number, ...names: string[]) => ({ metadata: { resourceVersion: String(version) }, items: names.map((name) => object(name, version)) });
const event = (type: string, name: string, version: number) => ({ type, object: object(name, version) });
const gone = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version', metadata: {} } };

type Lines = ReturnType<Answer['lines']>;

/** Lists are answered in turn, and each watch by the next script; the last of either stays. */
function scripted(lists: unknown[], watches: ((lines: Lines, request: SeenRequest, answer: Answer) => void)[]): Handler {
  let listed = 0;
  let watched = 0;
  return (request, answer) => {
    if (!request.query.has('watch')) return answer.json(200, lists[Math.min(listed++, lists.length - 1)]);
    const script = watches[Math.min(watched++, watches.length - 1)];
    script?.(answer.lines(), request, answer);
  };
}

const silent = () => undefined;

for (const protocol of ['HTTP/2', 'HTTP/1.1'] as Protocol[]) {
  describe(`a watch over ${protocol}`, () => {
    let server: ApiServer;
    let abort: AbortController;
    const seen: string[] = [];
    beforeEach(() => {
      abort = new AbortController();
      seen.length = 0;
    });
    afterEach(async () => {
      abort.abort();
      await server.stop();
    });

    /** Observes until the names, joined, have been these. */
    async function until(wanted: string, handler: Handler, more: Partial<WatchOptions> & { timings?: object } = {}): Promise<void> {
      server = await ApiServer.start(protocol, handler);
      const { timings, ...options } = more;
      await observe(server.client({ timings: timings ?? {} }), PATH, { ...options, signal: abort.signal }, (items: readonly KubernetesObject[]) => {
        seen.push(items.map((item) => item.metadata.name).join(''));
        if (seen.at(-1) === wanted) abort.abort(new Error('seen'));
      });
      assert.equal(seen.at(-1), wanted);
    }
    const watches = () => server.requests.filter((request) => request.query.has('watch'));
    const lists = () => server.requests.filter((request) => !request.query.has('watch'));

    it('lists first, then follows every change', async () => {
      await until(
        'bc',
        scripted([list(5, 'a', 'b')], [
          (lines) => [event('ADDED', 'c', 6), event('MODIFIED', 'b', 7), event('DELETED', 'a', 8)].forEach((change) => lines.write(change)),
        ]),
        { labelSelector: 'app=web,tier in (a,b)', fieldSelector: 'metadata.name=x' },
      );
      assert.deepEqual(seen, ['ab', 'abc', 'abc', 'bc']);
      const [watch] = watches();
      assert.deepEqual(
        ['resourceVersion', 'labelSelector', 'fieldSelector', 'allowWatchBookmarks'].map((name) => watch?.query.get(name)),
        ['5', 'app=web,tier in (a,b)', 'metadata.name=x', 'true'],
      );
      assert.equal(lists()[0]?.query.get('labelSelector'), 'app=web,tier in (a,b)');
    });

    it('starts where it is told to, without a list', async () => {
      await until('ab', scripted([], [(lines) => lines.write(event('ADDED', 'b', 9))]), { resume: { items: [object('a', 8)], resourceVersion: '8' } });
      assert.deepEqual([lists().length, watches()[0]?.query.get('resourceVersion')], [0, '8']);
    });

    it('resumes after the last change when the server ends the watch', async () => {
      await until('abc', scripted([list(5, 'a')], [
        (lines) => {
          lines.write(event('ADDED', 'b', 6));
          lines.end();
        },
        (lines) => lines.write(event('ADDED', 'c', 7)),
      ]));
      assert.deepEqual([lists().length, ...watches().map((watch) => watch.query.get('resourceVersion'))], [1, '5', '6']);
    });

    it('resumes from a bookmark, which is no change', async () => {
      await until('ab', scripted([list(5, 'a')], [
        (lines) => {
          lines.write({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '99' } } });
          lines.end();
        },
        (lines) => lines.write(event('ADDED', 'b', 100)),
      ]));
      assert.deepEqual([seen, watches()[1]?.query.get('resourceVersion')], [['a', 'ab'], '99']);
    });

    it('lists again when the server says within the watch that it is too old', async () => {
      await until('b', scripted([list(5, 'a'), list(50, 'b')], [(lines) => lines.write(gone), silent]));
      assert.equal(lists().length, 2);
    });

    it('lists again when the server refuses the watch as too old', async () => {
      let listed = 0;
      await until('b', (request, answer) => {
        if (!request.query.has('watch')) return answer.json(200, listed++ === 0 ? list(5, 'a') : list(50, 'b'));
        if (request.query.get('resourceVersion') === '5') return answer.json(410, gone.object);
        answer.lines();
      });
      assert.equal(listed, 2);
    });

    it('goes on after an error of the server within the watch', async () => {
      await until('ab', scripted([list(5, 'a')], [
        (lines) => lines.write({ type: 'ERROR', object: { code: 500, reason: 'InternalError', message: 'etcd', metadata: {} } }),
        (lines) => lines.write(event('ADDED', 'b', 6)),
      ]));
    });

    it('goes on after the connection was reset', async () => {
      await until('ab', scripted([list(5, 'a')], [(_lines, _request, answer) => void setTimeout(() => answer.reset(), 30), (lines) => lines.write(event('ADDED', 'b', 6))]));
      assert.equal(lists().length, 1);
    });

    it('goes on after a line that broke off', async () => {
      await until('ab', scripted([list(5, 'a')], [
        (lines) => {
          lines.raw('{"type":"ADDED","obj');
          lines.end();
        },
        (lines) => lines.write(event('ADDED', 'b', 6)),
      ]));
    });

    it('puts together a line that comes in pieces, within a character too', async () => {
      const line = Buffer.from(`${JSON.stringify(event('ADDED', 'ü', 6))}\n`);
      const cut = line.indexOf(Buffer.from('ü')) + 1;
      await until('aü', (request, answer) => {
        if (!request.query.has('watch')) return answer.json(200, list(5, 'a'));
        const lines = answer.lines();
        lines.raw(line.subarray(0, cut) as never);
        setTimeout(() => lines.raw(line.subarray(cut) as never), 20);
      });
    });

    it('takes no other character than the newline for the end of a line', async () => {
      await until('a\u2028b', scripted([list(5)], [(lines) => lines.write(event('ADDED', 'a\u2028b', 6))]));
    });

    it('does not hammer a server that ends each watch at once', async () => {
      server = await ApiServer.start(protocol, scripted([list(5, 'a')], [(lines) => lines.end()]));
      setTimeout(() => abort.abort(new Error('enough')), 700);
      await observe(server.client(), PATH, { signal: abort.signal }, () => undefined);
      assert.ok(watches().length <= 4, `${watches().length} watches in 0.7 s`);
    });

    it('fails where it may not watch', async () => {
      const forbidden = (request: SeenRequest, answer: Answer) => (request.query.has('watch') ? answer.json(403, { code: 403, message: 'pods is forbidden' }) : answer.json(200, list(5, 'a')));
      await assert.rejects(until('never', forbidden), /answered 403 \(pods is forbidden\).*docs\/security\.md/);
    });

    it('fails with what its listener throws', async () => {
      server = await ApiServer.start(protocol, scripted([list(5, 'a')], [(lines) => lines.write(event('ADDED', 'b', 6))]));
      const thrown = new TypeError('a fault of ours');
      const listener = (items: readonly KubernetesObject[]) => {
        if (items.length > 1) throw thrown;
      };
      await assert.rejects(observe(server.client(), PATH, { signal: abort.signal }, listener), (error) => error === thrown);
    });

    it('ends without an error when it is aborted, in the list as in the watch', async () => {
      await until('a', scripted([list(5, 'a')], [silent]));
      const hanging = await ApiServer.start(protocol, () => ending.abort(new Error('over')));
      const ending = new AbortController();
      await observe(hanging.client(), PATH, { signal: ending.signal }, () => assert.fail('nothing was listed'));
      await hanging.stop();
    });

    it('notices a connection that is half open, and goes on over a new one', async () => {
      const timings = { pingInterval: 100, pingTimeout: 100, watchRenewal: 1_000, watchSilence: 300 };
      const half: Handler = scripted([list(5, 'a')], [() => void setTimeout(() => server.fallSilent(), 30), (lines) => lines.write(event('ADDED', 'b', 6))]);
      const began = performance.now();
      await until('ab', half, { timings });
      assert.ok(performance.now() - began < 5_000);
      assert.ok(server.connections >= 2);
    });
  });
}
