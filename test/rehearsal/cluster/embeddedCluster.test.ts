import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../../../rehearsal/cluster/embeddedCluster';

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: { code?: number; reason?: string; metadata: { name: string }; status: { phase?: string; containerStatuses?: { ready: boolean }[] } };
}

const configMaps = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';

/** One request over a connection of its own, HTTP/1.1. */
function request(cluster: EmbeddedCluster, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = https.request(cluster.url + path, {
      method,
      ca: cluster.caPem,
      agent: false,
      headers: { authorization: `Bearer ${cluster.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as Answer['body'] }));
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

interface OpenWatch {
  lines: string[];
  ended: Promise<void>;
  session: http2.ClientHttp2Session;
}

async function watch(cluster: EmbeddedCluster, path: string): Promise<OpenWatch> {
  const session = http2.connect(cluster.url, { ca: cluster.caPem });
  session.on('error', () => undefined);
  const stream = session.request({ ':path': `${path}?watch=true`, authorization: `Bearer ${cluster.token}` });
  stream.on('error', () => undefined);
  const lines: string[] = [];
  createInterface({ input: stream }).on('line', (line) => lines.push(line));
  await new Promise((resolve) => stream.once('response', resolve));
  return { lines, session, ended: new Promise((resolve) => stream.once('close', resolve)) };
}

/** When it is answered, everything the server has sent before has arrived. */
function ping(session: http2.ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('the embedded cluster', () => {
  let cluster: EmbeddedCluster;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'embedded-test-'));
    const images = folderImageStore();
    mkdirSync(join(folder, 'app'));
    writeFileSync(join(folder, 'app', 'greeting'), 'hello from the image\n');
    images.add('tool:1', { rootfs: folder, config: { Entrypoint: ['sh', '-c'], WorkingDir: '/app' } });
    const started = performance.now();
    cluster = await startEmbeddedCluster({ images });
    assert.ok(performance.now() - started < 500 * 4, 'starts at once');
  });

  afterEach(() => cluster.faults.clear());

  after(async () => {
    const begun = performance.now();
    await cluster.stop();
    assert.ok(performance.now() - begun < 2_000, 'stops at once');
    rmSync(folder, { recursive: true, force: true });
  });

  const create = (name: string) => request(cluster, 'POST', configMaps, { metadata: { name } });
  const runPod = async (name: string, script: string): Promise<void> => {
    await request(cluster, 'POST', pods, { metadata: { name }, spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'tool:1', args: [script] }] } });
  };
  const logOf = async (name: string, lines: number): Promise<string> => {
    for (;;) {
      const text = await new Promise<string>((resolve, reject) => {
        https.get(`${cluster.url}${pods}/${name}/log`, { ca: cluster.caPem, agent: false, headers: { authorization: `Bearer ${cluster.token}` } }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks).toString()));
        }).on('error', reject);
      });
      if (text.split('\n').length > lines && !text.startsWith('{')) return text;
      await delay(20);
    }
  };

  describe('serves', () => {
    it('HTTP/2 and HTTP/1.1 on one port', async () => {
      assert.equal((await request(cluster, 'GET', '/version')).status, 200);
      const open = await watch(cluster, configMaps);
      assert.equal(open.session.alpnProtocol, 'h2');
      open.session.destroy();
    });

    it('keeps fields it does not know', async () => {
      const spec = { some: { odd: [1, 'two', { three: true }] } };
      await request(cluster, 'POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'odd' }, spec });
      const { body } = await request(cluster, 'GET', '/apis/coordination.k8s.io/v1/namespaces/default/leases/odd');
      assert.deepEqual((body as unknown as { spec: unknown }).spec, spec);
    });
  });

  describe('faults', () => {
    it('answer with a status and Retry-After, as often as told', async () => {
      cluster.faults.add({ method: 'GET', path: /configmaps/, skip: 1, count: 1, fault: { kind: 'status', code: 429, retryAfterSeconds: 7 } });
      assert.equal((await request(cluster, 'GET', configMaps)).status, 200);
      const hit = await request(cluster, 'GET', configMaps);
      assert.deepEqual([hit.status, hit.headers['retry-after'], hit.body.reason], [429, '7', 'TooManyRequests']);
      assert.equal((await request(cluster, 'GET', configMaps)).status, 200);
    });

    it('reset the connection before a change', async () => {
      cluster.faults.add({ method: 'POST', count: 1, fault: { kind: 'reset', when: 'before' } });
      await assert.rejects(create('before'), { code: 'ECONNRESET' });
      assert.equal((await request(cluster, 'GET', `${configMaps}/before`)).status, 404);
    });

    it('lose the answer to a change that was made', async () => {
      cluster.faults.add({ method: 'POST', count: 1, fault: { kind: 'reset', when: 'after' } });
      await assert.rejects(create('after'), { code: 'ECONNRESET' });
      assert.equal((await request(cluster, 'GET', `${configMaps}/after`)).status, 200);
    });

    it('expire the token', async () => {
      cluster.faults.add({ count: 1, fault: { kind: 'expiredToken' } });
      assert.deepEqual((({ status, body }) => [status, body.reason])(await request(cluster, 'GET', configMaps)), [401, 'Unauthorized']);
    });

    it('delay', async () => {
      cluster.faults.add({ count: 1, fault: { kind: 'latency', milliseconds: 150 } });
      const begun = performance.now();
      await request(cluster, 'GET', configMaps);
      assert.ok(performance.now() - begun >= 145);
    });

    it('close watches', async () => {
      const open = await watch(cluster, configMaps);
      cluster.faults.closeWatches();
      await open.ended;
      open.session.destroy();
    });

    it('silence watches whose connection still works', async () => {
      const open = await watch(cluster, '/apis/coordination.k8s.io/v1/namespaces/default/leases');
      await ping(open.session);
      const before = open.lines.length;
      cluster.faults.silenceWatches(/leases/);
      await request(cluster, 'POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'unheard' } });
      await ping(open.session);
      assert.equal(open.lines.length, before);
      open.session.destroy();
    });

    it('freeze the connection of watches, so that not even a ping is answered', async () => {
      const open = await watch(cluster, configMaps);
      await ping(open.session);
      const lines = open.lines.length;
      cluster.faults.freezeWatches();
      let answered = false;
      open.session.ping(() => (answered = true));
      await create('unseen');
      await delay(200);
      assert.deepEqual([answered, open.lines.length, open.session.destroyed], [false, lines, false]);
      open.session.destroy();
    });

    it('call back between requests', async () => {
      const seen: string[] = [];
      const stopBefore = cluster.faults.onRequest(({ method, path }) => void seen.push(`before ${method} ${path}`));
      const stopAfter = cluster.faults.onAnswer(({ method }) => void seen.push(`after ${method}`));
      await create('hooked');
      stopBefore();
      stopAfter();
      await request(cluster, 'GET', configMaps);
      assert.deepEqual(seen, [`before POST ${configMaps}`, 'after POST']);
      assert.deepEqual(cluster.requests.at(-1), { method: 'GET', path: configMaps, query: '' });
    });
  });

  describe('containers', () => {
    it('run in the image’s folder', async () => {
      await runPod('reader', 'cat greeting; cat /app/greeting 2>/dev/null || echo outside');
      assert.equal(await logOf('reader', 2), 'hello from the image\noutside\n');
    });

    it('do not see the environment of this process', async () => {
      process.env['SECRET_OF_THE_HOST'] = 'must not leak';
      await runPod('env', 'env');
      const text = await logOf('env', 3);
      delete process.env['SECRET_OF_THE_HOST'];
      assert.doesNotMatch(text, /SECRET_OF_THE_HOST|must not leak/);
      assert.match(text, /^HOSTNAME=env$/m);
    });

    it('end with all they have started', async () => {
      await runPod('parent', 'sleep 1000 & echo $!; wait');
      const pid = Number(await logOf('parent', 1));
      assert.ok(isAlive(pid));
      await request(cluster, 'DELETE', `${pods}/parent?gracePeriodSeconds=0`);
      while (isAlive(pid)) await delay(20);
    });

    it('do not outlive the process that runs the cluster, even when it is killed', async () => {
      const program = `
        import { folderImageStore, startEmbeddedCluster } from ${JSON.stringify(join(__dirname, '../../../rehearsal/cluster/embeddedCluster'))};
        import * as https from 'node:https';
        async function main() {
          const images = folderImageStore();
          images.add('tool:1', { rootfs: ${JSON.stringify(folder)}, config: {} });
          const cluster = await startEmbeddedCluster({ images });
          const headers = { authorization: 'Bearer ' + cluster.token, 'content-type': 'application/json' };
          const command = ['sh', '-c', 'sleep 1000 & echo $! > pid.tmp; mv pid.tmp pid; wait'];
          https.request(cluster.url + '${pods}', { method: 'POST', ca: cluster.caPem, headers }).end(JSON.stringify({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'tool:1', command }] } }));
        }
        void main();`;
      const file = join(folder, 'child.ts');
      writeFileSync(file, program);
      const child = spawn(process.execPath, ['--import', 'tsx', file], { stdio: 'ignore' });
      while (!existsSync(join(folder, 'pid'))) {
        assert.equal(child.exitCode, null, 'the process that runs the cluster has ended');
        await delay(20);
      }
      const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
      assert.ok(isAlive(pid));
      child.kill('SIGKILL');
      while (isAlive(pid)) await delay(20);
    });
  });
});
