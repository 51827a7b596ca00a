import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { attachStdin } from '../../tasks/core/kubernetes/attachStdin';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { ContainerState, Pod } from '../../tasks/core/kubernetes/objects';
import { podLog } from '../../tasks/core/kubernetes/podLog';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { Readable } from 'node:stream';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { until } from './clusterAnswers';

/** A cluster for {@link attachContract}, with the image busybox:1.35 on its node. */
export interface AttachCluster {
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

const V4 = 'v4.channel.k8s.io';
const V5 = 'v5.channel.k8s.io';
const SUCCESS = { metadata: {}, status: 'Success' };

interface Attached {
  socket: WebSocket;
  /** What came on each channel, joined. */
  text(channel: number): string;
  closed: Promise<number>;
}

interface Refused {
  status: number;
  body: string;
}

/** What the project takes for granted of attaching to a container; the same on the embedded and on a real cluster. */
export function attachContract(title: string, start: () => Promise<AttachCluster>): void {
  describe(`${title}: attach`, function () {
    this.timeout(60_000);
    const namespace = `attach-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
    let cluster: AttachCluster;
    let client: KubernetesClient;
    let count = 0;

    before(async () => {
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
      await client.create(resourcePath('namespaces'), { metadata: { name: namespace } });
      await until(() => client.request('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/default`).catch(() => undefined), Boolean, 'the ServiceAccount of the namespace');
    });
    after(async () => {
      await client?.delete(resourcePath('namespaces', { name: namespace }));
      client?.close();
      await cluster?.stop();
    });

    const stateOf = async (name: string): Promise<ContainerState> => {
      const pod = await client.get<Pod>(resourcePath('pods', { namespace, name }));
      return pod.status?.containerStatuses?.[0]?.state ?? {};
    };
    const createPod = async (script: string, container: object = {}, spec: object = {}): Promise<string> => {
      const name = `attached-${++count}`;
      const main = { name: 'main', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', script], stdin: true, stdinOnce: true, ...container };
      await client.create(resourcePath('pods', { namespace }), {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, containers: [main], ...spec },
      });
      return name;
    };
    const startPod = async (script: string, container: object = {}): Promise<string> => {
      const name = await createPod(script, container);
      await until(() => stateOf(name), (state) => Boolean(state.running ?? state.terminated), `${name} to run`);
      return name;
    };
    const endOf = async (name: string): Promise<{ exitCode: number; message: string; log: string }> => {
      const { terminated } = await until(() => stateOf(name), (state) => state.terminated !== undefined, `${name} to end`);
      const log = await podLog(client, { namespace, pod: name, container: 'main' });
      return { exitCode: terminated?.exitCode ?? -1, message: terminated?.message ?? '', log: log.join('\n') };
    };
    const attach = async (name: string, query: string, protocols = [V4]): Promise<Attached> => {
      const path = resourcePath('pods', { namespace, name, subresource: 'attach' });
      // A busy kubelet answers 500 while its picture of the containers is an old one.
      const answer = await until(() => open(client, path, query, protocols), (found) => 'socket' in found || found.status !== 500, 'an answer');
      if (!('socket' in answer)) assert.fail(`the attach was refused: ${JSON.stringify(answer)}`);
      return answer;
    };
    const refused = async (name: string, query: string, protocols = [V4]): Promise<Refused> => {
      const answer = await open(client, resourcePath('pods', { namespace, name, subresource: 'attach' }), query, protocols);
      assert.ok('status' in answer, 'the attach was not refused');
      return answer;
    };
    const write = ({ socket }: Attached, text: string) => socket.send(Buffer.concat([Buffer.of(0), Buffer.from(text)]));

    it('carries standard input and tells success at the end, whatever the exit code', async () => {
      const pod = await startPod('head -c 5; exit 42');
      const attached = await attach(pod, 'container=main&stdin=true');
      assert.equal(attached.socket.protocol, V4);
      write(attached, 'hello');
      assert.equal(await attached.closed, 1000);
      assert.deepEqual(JSON.parse(attached.text(3)), SUCCESS);
      assert.deepEqual(await endOf(pod), { exitCode: 42, message: '', log: 'hello' });
    });

    it('keeps the input open while it is idle, and takes empty frames for nothing', async () => {
      const pod = await startPod('head -c 9; exit 3');
      const attached = await attach(pod, 'stdin=true');
      write(attached, 'hello');
      write(attached, '');
      await delay(1000);
      assert.ok((await stateOf(pod)).running, 'the program has read an end');
      write(attached, 'late');
      assert.deepEqual(await endOf(pod), { exitCode: 3, message: '', log: 'hellolate' });
    });

    for (const how of ['terminate', 'close'] as const) {
      it(`ends the input of a stdinOnce container when the connection ends (${how})`, async () => {
        const pod = await startPod('cat | wc -c; exit 3');
        const attached = await attach(pod, 'stdin=true');
        write(attached, 'hello');
        await delay(200);
        attached.socket[how]();
        assert.deepEqual(await endOf(pod), { exitCode: 3, message: '', log: '5' });
      });
    }

    it('leaves the input open without stdinOnce, for the next attach', async () => {
      const pod = await startPod('head -c 9; exit 5', { stdinOnce: false });
      const first = await attach(pod, 'stdin=true');
      write(first, 'hello');
      await delay(200);
      first.socket.terminate();
      await delay(300);
      write(await attach(pod, 'stdin=true'), 'more');
      assert.deepEqual(await endOf(pod), { exitCode: 5, message: '', log: 'hellomore' });
    });

    it('ends the input of a stdinOnce container as soon as somebody attaches without one', async () => {
      const pod = await startPod('cat | wc -c; exit 3');
      const first = await attach(pod, 'stdin=true');
      write(first, 'hello');
      await delay(200);
      const second = await attach(pod, 'stdout=true');
      assert.deepEqual(await endOf(pod), { exitCode: 3, message: '', log: '5' });
      assert.equal(await second.closed, 1000);
    });

    it('mixes the bytes of a second attach in, whose end is the end of all', async () => {
      const pod = await startPod('cat; echo; exit 3');
      const first = await attach(pod, 'stdin=true');
      write(first, 'one,');
      await delay(200);
      const second = await attach(pod, 'stdin=true');
      write(second, 'two,');
      await delay(200);
      write(first, 'three');
      await delay(200);
      second.socket.terminate();
      assert.deepEqual(await endOf(pod), { exitCode: 3, message: '', log: 'one,two,three' });
      assert.equal(await first.closed, 1000);
    });

    it('carries both outputs from the attach on', async () => {
      const pod = await startPod('echo early; sleep 4; echo out; echo err >&2; sleep 1; exit 42');
      const attached = await attach(pod, 'stdout=true&stderr=true');
      assert.equal(await attached.closed, 1000);
      assert.match(attached.text(1), /^(early\n)?out\n$/);
      assert.equal(attached.text(2), 'err\n');
      assert.deepEqual(JSON.parse(attached.text(3)), SUCCESS);
    });

    it('takes no input for a container that has none', async () => {
      const pod = await startPod('sleep 4; exit 4', { stdin: false, stdinOnce: false });
      const attached = await attach(pod, 'stdin=true&stdout=true');
      write(attached, 'unheard');
      assert.equal(await attached.closed, 1000);
      assert.equal((await endOf(pod)).exitCode, 4);
    });

    it('refuses while the container does not run', async () => {
      const pod = await createPod('exit 0');
      const early = await refused(pod, 'stdin=true').catch(() => undefined);
      // Before the pod is bound to a node the API server refuses, afterwards the kubelet, in plain text.
      if (early?.status === 500) assert.equal(early.body, `container main not found in pod ${pod}_${namespace}`);
      await endOf(pod);
      const late = await until(() => open(client, resourcePath('pods', { namespace, name: pod, subresource: 'attach' }), 'stdin=true', [V4]), (answer) => 'status' in answer, 'a refusal');
      assert.deepEqual(late, { status: 500, body: `container main not found in pod ${pod}_${namespace}` });
    });

    it('refuses what it cannot do', async () => {
      const pod = await startPod('sleep 60', { stdin: false, stdinOnce: false });
      const status = (answer: Refused) => [answer.status, (JSON.parse(answer.body) as { message: string }).message];
      assert.deepEqual(status(await refused(pod, 'container=nope&stdin=true')), [400, `container nope is not valid for pod ${pod}`]);
      assert.deepEqual(status(await refused('nobody', 'stdin=true')), [404, 'pods "nobody" not found']);
      assert.deepEqual(await refused(pod, ''), { status: 400, body: 'you must specify at least 1 of stdin, stdout, stderr' });
      assert.deepEqual(await refused(pod, 'stdin=true', ['v9.channel.k8s.io']), { status: 403, body: '' });
      const plain = await client.request('GET', resourcePath('pods', { namespace, name: pod, subresource: 'attach' }), { query: { stdin: true } }).catch((error: Error) => error);
      assert.ok(plain instanceof Error && plain.message.includes('400 (Upgrade request required)'), String(plain));
      await client.delete(resourcePath('pods', { namespace, name: pod }));
    });

    it('sends a stream whole to a reader that stalls, holding the sender back', async () => {
      const megabytes = 160;
      const pod = await startPod(`sleep 3; head -c ${megabytes * 1024 * 1024} | wc -c; exit 0`);
      const stdin = await attachStdin(client, { namespace, pod, container: 'main' });
      const chunk = Buffer.alloc(1024 * 1024, 'x');
      let produced = 0;
      const source = Readable.from((function* () {
        for (; produced < megabytes; produced++) yield chunk;
      })());
      const sending = stdin.send(source);
      await delay(2000);
      assert.ok(produced < megabytes, 'all of it went into somebody’s memory');
      await sending;
      assert.equal((await endOf(pod)).log, String(megabytes * 1024 * 1024));
      stdin.close();
    });

    it('gives what is in the termination message file as the message', async () => {
      const pod = await createPod('unused', { command: ['cp', '/etc/hostname', '/dev/termination-log'] });
      const { exitCode, message } = await endOf(pod);
      assert.equal(exitCode, 0);
      assert.notEqual(message, '');
    });

    it('keeps dollars in arguments only where they are doubled', async () => {
      const pod = await createPod('unused', { command: ['echo', 'a$$$$b', '$$(HOME)', '$(NOPE)', 'c$d'], env: [{ name: 'HOME', value: '/h' }] });
      assert.equal((await endOf(pod)).log, 'a$$b $(HOME) $(NOPE) c$d');
    });

    it('fails a pod that outlives its deadline', async () => {
      const pod = await createPod('sleep 60', {}, { activeDeadlineSeconds: 2 });
      const { status } = await until(() => client.get<Pod>(resourcePath('pods', { namespace, name: pod })), (object) => object.status?.phase === 'Failed', `${pod} to fail`);
      assert.equal(status?.reason, 'DeadlineExceeded');
    });

    it('shows a container that cannot be started, and is not tried again, as ended', async () => {
      const pod = await createPod('unused', { command: ['/nowhere'] });
      const { terminated } = await until(() => stateOf(pod), (state) => state.terminated !== undefined, `${pod} to end`);
      assert.equal(terminated?.exitCode, 128);
      assert.equal(terminated?.reason, 'StartError');
      assert.match(terminated?.message ?? '', /exec: "\/nowhere": stat \/nowhere: no such file or directory/);
    });
  });
}

/** What v5 adds, for a server that speaks it. */
export function attachV5Contract(title: string, start: () => Promise<AttachCluster>): void {
  describe(`${title}: attach over v5`, function () {
    this.timeout(60_000);
    let cluster: AttachCluster;
    let client: KubernetesClient;

    before(async () => {
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
    });
    after(async () => {
      client?.close();
      await cluster?.stop();
    });

    it('tells the program of the end of its input', async () => {
      const container = { name: 'main', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'cat | wc -c'], stdin: true, stdinOnce: true };
      const at = { namespace: 'default', name: `v5-${process.pid}` };
      await client.create(resourcePath('pods', { namespace: at.namespace }), { metadata: { name: at.name }, spec: { restartPolicy: 'Never', containers: [container] } });
      const phase = async () => (await client.get<Pod>(resourcePath('pods', at))).status?.phase;
      await until(phase, (now) => now === 'Running', 'the pod to run');
      const stdin = await attachStdin(client, { namespace: at.namespace, pod: at.name, container: 'main' });
      assert.equal(stdin.protocol, V5);
      await stdin.send(Readable.from([Buffer.from('hello')]));
      await until(phase, (now) => now === 'Succeeded', 'the pod to succeed');
      assert.deepEqual(await podLog(client, { namespace: at.namespace, pod: at.name, container: 'main' }), ['5']);
      stdin.close();
      await client.delete(resourcePath('pods', at), { query: { gracePeriodSeconds: 0 } });
    });
  });
}

async function open(client: KubernetesClient, path: string, query: string, protocols: string[]): Promise<Attached | Refused> {
  const [connection, headers] = await Promise.all([client.transport.connect(), client.headers()]);
  const url = new URL(`${path}?${query}`, client.transport.server.replace(/^http/, 'ws'));
  const socket = new WebSocket(url, protocols, { headers, createConnection: () => connection, perMessageDeflate: false });
  const channels = new Map<number, Buffer[]>();
  socket.on('message', (message: Buffer) => {
    const channel = message[0] ?? -1;
    channels.set(channel, [...(channels.get(channel) ?? []), message.subarray(1)]);
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      void once(response, 'end').then(() => {
        connection.destroy();
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    });
    socket.once('open', () => resolve({ socket, closed, text: (channel) => Buffer.concat(channels.get(channel) ?? []).toString() }));
  });
}
