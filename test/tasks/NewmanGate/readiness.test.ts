import assert from 'node:assert/strict';
import type { Clock } from '../../../tasks/core/time/clock';
import { probeUrl } from '../../../tasks/NewmanGate/httpProbe';
import { probeDelay, readinessVerdict, type ProbeResult } from '../../../tasks/NewmanGate/readinessVerdict';
import { waitUntilReady } from '../../../tasks/NewmanGate/waitUntilReady';
import { startEchoService } from '../../bundle/echoService';
import { RecordingAgent } from '../../core/agent/recordingAgent';

describe('Readiness verdict', () => {
  const cases: [ProbeResult, boolean, boolean][] = [
    [{ status: 200 }, false, true],
    [{ status: 204 }, false, true],
    [{ status: 302 }, false, true],
    [{ status: 401 }, false, false],
    [{ status: 404 }, false, false],
    [{ status: 503 }, false, false],
    [{ status: 404 }, true, true],
    [{ status: 500 }, true, true],
    [{ error: 'the connection was refused' }, true, false],
    [{ error: 'no answer' }, false, false],
  ];
  for (const [result, anyAnswer, ready] of cases) {
    it(`${ready ? 'accepts' : 'waits after'} ${JSON.stringify(result)}${anyAnswer ? ' where any answer will do' : ''}`, () => {
      assert.equal(readinessVerdict(result, anyAnswer).ready, ready);
    });
  }

  it('asks quickly at first and at most every two seconds', () => {
    assert.equal(probeDelay(0), 100);
    assert.ok(probeDelay(3) < 500);
    assert.equal(probeDelay(50), 2000);
  });
});

/** Time that passes only by sleeping. */
function virtualClock(): Clock & { time: number } {
  const clock = {
    time: 0,
    now: () => clock.time,
    sleep: (milliseconds: number) => {
      clock.time += milliseconds;
      return Promise.resolve();
    },
  };
  return clock;
}

describe('Waiting for a service', () => {
  const wait = (results: ProbeResult[], agent: RecordingAgent, clock = virtualClock(), timeoutMs = 60_000) => {
    let next = 0;
    const probe = () => Promise.resolve(results[Math.min(next++, results.length - 1)] ?? { error: 'nothing' });
    return waitUntilReady({ what: 'svc/web:80', anyAnswer: false, timeoutMs, probe }, agent, new AbortController().signal, clock);
  };

  it('says what it waits for once per change of state', async () => {
    const agent = new RecordingAgent();
    const refused = { error: 'the connection was refused' };
    await wait([refused, refused, refused, { status: 503 }, { status: 503 }, { status: 200 }], agent);
    assert.equal(agent.lines.length, 3);
    assert.match(agent.lines[0] ?? '', /^Waiting up to 1 min for svc\/web:80: the connection was refused\.$/);
    assert.match(agent.lines[1] ?? '', /answered HTTP 503\.$/);
    assert.match(agent.lines[2] ?? '', /^svc\/web:80 is ready: it answered HTTP 200 after /);
  });

  it('gives up at its time limit, naming the last state', async () => {
    const clock = virtualClock();
    await assert.rejects(wait([{ status: 500 }], new RecordingAgent(), clock, 30_000), /^UserError: svc\/web:80 was not ready within 30 s: answered HTTP 500\. Look at/);
    assert.ok(clock.time <= 30_000 && clock.time > 27_000, String(clock.time));
  });

  it('ends with the signal while a probe hangs', async () => {
    const controller = new AbortController();
    const service = await startEchoService();
    try {
      const started = performance.now();
      const waiting = waitUntilReady(
        {
          what: 'it',
          anyAnswer: true,
          timeoutMs: 60_000,
          probe: (timeoutMs, signal) => probeUrl(`${service.url}/hang`, { timeoutMs, insecure: false, network: { proxyUrl: undefined, caFile: undefined }, signal }),
        },
        new RecordingAgent(),
        controller.signal,
      );
      setTimeout(() => controller.abort(new Error('The task was canceled.')), 50);
      await assert.rejects(waiting, /The task was canceled\./);
      assert.ok(performance.now() - started < 5000);
    } finally {
      await service.close();
    }
  });
});

describe('HTTP probe', () => {
  const options = { timeoutMs: 300, insecure: false, network: { proxyUrl: undefined, caFile: undefined }, signal: new AbortController().signal };

  it('gives the status, without following redirects', async () => {
    const service = await startEchoService();
    try {
      assert.deepEqual(await probeUrl(`${service.url}/status/418`, options), { status: 418 });
      assert.deepEqual(await probeUrl(`${service.url}/redirect`, options), { status: 302 });
      assert.deepEqual(await probeUrl(`${service.url}/hang`, options), { error: 'no answer' });
    } finally {
      await service.close();
    }
  });

  it('says why there was no answer', async () => {
    assert.deepEqual(await probeUrl('http://127.0.0.1:1/', options), { error: 'the connection was refused' });
    assert.deepEqual(await probeUrl('http://no-such-host.invalid/', { ...options, timeoutMs: 5000 }), { error: 'the name of the host is not known' });
  });

  it('goes through a proxy where the agent has one', async () => {
    const proxy = await startEchoService();
    try {
      const network = { proxyUrl: proxy.url.replace('//', '//user:word@'), caFile: undefined };
      assert.deepEqual(await probeUrl('http://service.invalid/health', { ...options, network }), { status: 200 });
      assert.equal(proxy.requests[0]?.url, 'http://service.invalid/health');
      assert.ok(proxy.requests[0]?.headers['proxy-authorization']);
    } finally {
      await proxy.close();
    }
  });
});
