import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, ConnectionError } from '../../../tasks/core/kubernetes/apiError';
import type { KubernetesClient, RequestOptions } from '../../../tasks/core/kubernetes/client';
import { followLog } from '../../../tasks/core/kubernetes/followLog';
import { ApiServer, type Answer } from './apiServer';

/**
 * One answer: the log from the time asked for up to this line, and how it ends; or a refusal. After a rotation a kubelet
 * knows only the lines from `from` on.
 */
type Reply = { from?: number; upTo: number; end: 'end' | 'break' | 'silence' } | Error;

/** Gives a log as an API server does, in answers that end too early. */
class LogSource {
  readonly asked: (string | undefined)[] = [];
  private rotated: { from?: number } = {};

  constructor(
    private readonly log: readonly string[],
    private readonly replies: Reply[],
  ) {}

  get client(): KubernetesClient {
    const stream = (_path: string, { query, signal }: RequestOptions) => {
      const since = query?.['sinceTime'] as string | undefined;
      this.asked.push(since);
      const reply = this.replies.shift() ?? { ...this.rotated, upTo: this.log.length, end: 'end' };
      if (reply instanceof Error) return Promise.reject(reply);
      if (reply.from !== undefined) this.rotated = { from: reply.from };
      const lines = this.log.slice(reply.from ?? 0, reply.upTo).filter((line) => since === undefined || Date.parse(`${line.slice(0, 19)}Z`) >= Date.parse(since));
      const body = new Readable({ read: () => undefined });
      signal?.addEventListener('abort', () => body.destroy(signal.reason as Error), { once: true });
      for (const chunk of chunks(lines)) body.push(chunk);
      if (reply.end === 'end') body.push(null);
      if (reply.end === 'break') setTimeout(() => body.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })), 20);
      return Promise.resolve({ status: 200, headers: {}, body });
    };
    return { stream, transport: { server: 'https://server' } } as unknown as KubernetesClient;
  }

  /** Follows until all answers have been used, as if the container had ended then. */
  async read(signal = new AbortController().signal): Promise<string[]> {
    const lines: string[] = [];
    const options = { namespace: 'ns', pod: 'p', container: 'c', signal, ended: () => this.replies.length === 0, silenceMs: 100 };
    for await (const line of followLog(this.client, options)) lines.push(line);
    return lines;
  }
}

/** In chunks that fit neither lines nor characters. */
function* chunks(lines: readonly string[]): Generator<Buffer> {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
}

const at = (second: number, fraction: string, text: string) => `2026-11-21T10:00:${String(second).padStart(2, '0')}.${fraction}Z ${text}`;

describe('followLog', () => {
  const spread = [at(1, '1', 'one'), at(2, '25', 'two'), at(2, '250000001', 'three'), at(9, '0', 'four é'), at(9, '5', '')];
  const texts = ['one', 'two', 'three', 'four é', ''];

  const cases: [string, string[], Reply[], string[]][] = [
    ['a log that comes in one piece', spread, [], texts],
    ['a log whose answers end early', spread, [{ upTo: 1, end: 'end' }, { upTo: 3, end: 'end' }, { upTo: 4, end: 'end' }], texts],
    ['a log whose connection breaks', spread, [{ upTo: 2, end: 'break' }, { upTo: 5, end: 'break' }], texts],
    ['a log that is not there yet', spread, [new ApiError(400, 'BadRequest', 'waiting to start', 'read'), new ApiError(500, '', 'not found', 'read')], texts],
    ['a server that cannot be reached for a while', spread, [new ConnectionError('s', 'ECONNREFUSED', 'refused', false), { upTo: 2, end: 'end' }, new ConnectionError('s', 'ECONNRESET', 'reset', true)], texts],
    ['answers that bring nothing new', spread, [{ upTo: 2, end: 'end' }, { upTo: 2, end: 'end' }], texts],
    ['equal lines with equal time stamps', [at(1, '5', 'same'), at(1, '5', 'same'), at(1, '5', 'same'), at(3, '5', 'same')], [{ upTo: 1, end: 'end' }, { upTo: 2, end: 'break' }], ['same', 'same', 'same', 'same']],
    ['two streams a little out of order', [at(5, '000000002', 'a'), at(4, '999999999', 'b'), at(5, '000000001', 'c')], [{ upTo: 1, end: 'end' }, { upTo: 2, end: 'end' }], ['a', 'b', 'c']],
    ['time stamps without a fraction', ['2026-11-21T10:00:01Z one', '2026-11-21T10:00:01Z two'], [{ upTo: 1, end: 'end' }], ['one', 'two']],
    ['lines that overwrite themselves, and line ends of Windows', [at(1, '1', '10%\r20%\r30%'), at(1, '2', 'done\r')], [{ upTo: 1, end: 'end' }], ['10%\r20%\r30%', 'done']],
    ['a log that falls silent while its file is rotated', spread, [{ upTo: 2, end: 'silence' }, { from: 2, upTo: 4, end: 'silence' }, { from: 4, upTo: 5, end: 'silence' }], texts],
    ['a log that is rotated and asked for again within a second', spread, [{ upTo: 2, end: 'silence' }, { from: 1, upTo: 3, end: 'silence' }], texts],
    ['an empty log', [], [{ upTo: 0, end: 'end' }], []],
  ];
  for (const [what, log, replies, expected] of cases) {
    it(`gives each line of ${what} once`, async () => {
      assert.deepEqual(await new LogSource(log, replies).read(), expected);
    }).timeout(10_000);
  }

  it('asks again from a little before the last line it has seen', async () => {
    const source = new LogSource(spread, [{ upTo: 2, end: 'end' }, { upTo: 5, end: 'end' }]);
    await source.read();
    assert.deepEqual(source.asked, [undefined, '2026-11-21T10:00:01Z', '2026-11-21T10:00:08Z']);
  });

  it('lets a log be silent after it has been asked for often enough to have met every rotation', async () => {
    const source = new LogSource(spread, Array.from({ length: 20 }, () => ({ upTo: 2, end: 'silence' as const })));
    const stop = new AbortController();
    const reading = source.read(stop.signal);
    while (source.asked.length < 7) await delay(20);
    await delay(500);
    stop.abort(new Error('stop'));
    assert.deepEqual(await reading, ['one', 'two']);
    assert.equal(source.asked.length, 7);
  });

  it('fails where it may not read', async () => {
    const refused = new ApiError(403, 'Forbidden', 'no', 'read pods/p/log');
    await assert.rejects(new LogSource(spread, [refused]).read(), refused);
  });

  it('ends at once, without an error, when it is aborted', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('stop')), 100);
    const source = new LogSource(spread, Array.from({ length: 100 }, () => ({ upTo: 2, end: 'end' as const })));
    assert.deepEqual(await source.read(stop.signal), ['one', 'two']);
  });

  for (const protocol of ['HTTP/2', 'HTTP/1.1'] as const) {
    it(`goes on after a connection that was reset, over ${protocol}`, async () => {
      const open: Answer[] = [];
      const server = await ApiServer.start(protocol, (_request, answer, index) => {
        open.push(answer);
        const lines = answer.lines();
        lines.raw(`${spread[0]}\n${index === 0 ? spread[1]?.slice(0, 30) : `${spread[1]}\n`}`);
        if (index === 0) setTimeout(() => answer.reset(), 200);
        else lines.end();
      });
      try {
        const lines: string[] = [];
        const options = { namespace: 'ns', pod: 'p', container: 'c', signal: AbortSignal.timeout(10_000), ended: () => open.length > 1 };
        for await (const line of followLog(server.client(), options)) lines.push(line);
        assert.deepEqual(lines, ['one', 'two']);
      } finally {
        await server.stop();
      }
    });
  }
});
