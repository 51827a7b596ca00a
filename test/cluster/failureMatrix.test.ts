import { execFile } from 'node:child_process';
import { once } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { generate } from 'selfsigned';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { failureMatrixContract } from '../contract/failureMatrixContract';
import type { MatrixCluster } from '../contract/failureMatrixScene';
import { caOf, serverOf } from '../contract/guardContract';
import { roleRules } from '../contract/securityRoles';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { realCluster } from './realCluster';

const run = promisify(execFile);

// A cluster that KUBECONFIG names can reach neither a registry nor a webhook on this machine.
failureMatrixContract('the real cluster', realMatrixCluster, { webhooks: !process.env['KUBECONFIG'] });

async function realMatrixCluster(): Promise<MatrixCluster> {
  const [registry, cluster, kubectl] = await Promise.all([startRegistryWithoutImages(), realCluster(), findKubectl()]);
  const { client } = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent());
  const [server, ca] = [serverOf(cluster.kubeconfig), caOf(cluster.kubeconfig)];
  const stops: (() => Promise<void> | void)[] = [() => client.close(), () => cluster.stop(), () => void registry.server.close()];
  const local = `127.0.0.1:${registry.port}`;
  return {
    kubeconfig: cluster.kubeconfig,
    server,
    images: {
      good: ['busybox:1.35', 'local.invalid/busybox:1', 'docker.io/library/busybox:1.35'],
      missing: cluster.ownsCluster ? `${local}/service:never-pushed` : 'busybox:never-pushed',
      denied: cluster.ownsCluster ? `${local}/denied:1` : 'release-guard/denied:1',
      unavailable: cluster.ownsCluster ? `${local}/unavailable:1` : undefined,
    },
    undo: async (namespace) => {
      await run(kubectl, ['--kubeconfig', cluster.kubeconfigFile, '--namespace', namespace, 'rollout', 'undo', 'deployment/app']);
    },
    withoutReports: async (namespace) => {
      const name = 'no-reports';
      const rules = (await roleRules('release-guard-deploy', 'release-guard-manifests')).filter(({ resources }) => !resources.some((resource) => /^(events|pods\/log)$/.test(resource)));
      const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
      const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
      await client.create(accounts, { metadata: { name } });
      await client.create(`${rbac}/roles`, { metadata: { name }, rules });
      await client.create(`${rbac}/rolebindings`, { metadata: { name }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }, subjects: [{ kind: 'ServiceAccount', name, namespace }] });
      const { status } = await client.request<{ status: { token: string } }>('POST', `${accounts}/${name}/token`, { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} } });
      return {
        id: 'cluster',
        url: server,
        scheme: 'Token',
        authorization: { apitoken: Buffer.from(status.token).toString('base64'), serviceaccountcertificate: ca },
        data: { authorizationtype: 'ServiceAccount' },
      };
    },
    refusePods: async (label, message) => {
      const hook = await startRefusingWebhook(message);
      stops.unshift(() => hook.stop());
      const [key = '', value = ''] = label.split('=');
      await client.create('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', {
        metadata: { name: `release-guard-test-${process.pid}` },
        webhooks: [
          {
            name: 'pods.release-guard.test',
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            clientConfig: { url: hook.url, caBundle: Buffer.from(hook.ca).toString('base64') },
            namespaceSelector: { matchLabels: { [key]: value } },
            rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
          },
        ],
      });
    },
    stop: async () => {
      for (const stop of stops) await stop();
    },
  };
}

/** That of the cluster which KUBE_LOCAL starts, which may be older than any on the machine; else the machine's. */
async function findKubectl(): Promise<string> {
  const folder = process.env['KUBE_LOCAL'];
  if (!folder || process.env['KUBECONFIG']) return 'kubectl';
  const { stdout } = await run(path.join(folder, 'unpack.sh'));
  return path.join(stdout.trim(), 'bin/kubectl');
}

/** A registry for the node of a cluster on this machine: it has no image, refuses some, and is out of order for others. */
async function startRegistryWithoutImages(): Promise<{ port: number; server: http.Server }> {
  const server = http.createServer(({ url = '' }, response) => {
    const [status, code] = url === '/v2/' ? [200, 'OK'] : url.startsWith('/v2/denied') ? [403, 'DENIED'] : url.startsWith('/v2/unavailable') ? [503, 'UNAVAILABLE'] : [404, 'MANIFEST_UNKNOWN'];
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(status === 200 ? {} : { errors: [{ code, message: code.toLowerCase() }] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, server };
}

/** An admission webhook that refuses everything. */
async function startRefusingWebhook(message: string): Promise<{ url: string; ca: string; stop(): void }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'webhook' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  });
  const server = https.createServer({ key, cert }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { apiVersion: string; kind: string; request: { uid: string } };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ apiVersion: review.apiVersion, kind: review.kind, response: { uid: review.request.uid, allowed: false, status: { message } } }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`, ca: cert, stop: () => void server.close().closeAllConnections() };
}
