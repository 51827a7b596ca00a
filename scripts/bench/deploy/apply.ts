import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Comparison } from '../benchmark';
import { interleave } from '../statistics';
import type { DeploySetting } from './setting';
import { idleDeployment, ObservedNamespace } from './workload';

const DEPLOYMENTS = 6;
const SERVICES = 6;
const CONFIG_MAPS = 8;

/**
 * A new version of 20 objects in as many files, six Deployments among them: the task by `manifests` against `kubectl
 * apply` of the folder and `kubectl rollout status` of each Deployment. Each side has a namespace of its own with the
 * same objects, as the two would fight over the ownership of fields; both go from one version to the other and back.
 */
export async function measureApply(setting: DeploySetting, pairs: number): Promise<Comparison> {
  const [oursIn, theirsIn] = [await setting.createNamespace('manifests'), await setting.createNamespace('apply')];
  const folders = await Promise.all(setting.images.map((image, version) => writeObjects(join(setting.folder, `v${version}`), image, version)));
  const observed = { ours: new ObservedNamespace(setting, oursIn), theirs: new ObservedNamespace(setting, theirsIn) };
  /** How many rollouts each side has had: it says which version is next. */
  const done = { ours: 0, theirs: 0 };
  const next = async (side: 'ours' | 'theirs', share: number): Promise<string> => {
    // Both namespaces share the node: neither may be busy.
    for (const each of ['ours', 'theirs'] as const) if (done[each] > 0) await observed[each].settled(setting.images[(done[each] - 1) % 2] ?? '');
    if (done[side] > 0) await observed[side].inPhase(share);
    const version = done[side]++ % 2;
    return folders[version] ?? '';
  };
  const ours = async (share: number): Promise<number> => {
    const folder = await next('ours', share);
    const end = await setting.deploy({ namespace: oursIn, inputs: { manifests: `${folder}/*.yaml`, releaseName: 'bench' } });
    await end.finish();
    return end.endedAt - end.startedAt;
  };
  const theirs = async (share: number): Promise<number> => {
    const folder = await next('theirs', share);
    const { startedAt } = await setting.require(['-n', theirsIn, 'apply', '-f', folder]);
    let last = startedAt;
    for (let index = 0; index < DEPLOYMENTS; index++) last = (await setting.require(['-n', theirsIn, 'rollout', 'status', `deployment/web-${index}`])).endedAt;
    return last - startedAt;
  };
  try {
    // The first versions are created, the later ones are changes: only these are alike.
    await ours(0);
    await theirs(0);
    const measured = await interleave(pairs, ours, theirs, (pair, own, other) => setting.note(`20 objects ${pair}/${pairs}: ${own.toFixed(0)} ms, kubectl ${other.toFixed(0)} ms`));
    return { ...measured, unit: 'ms', against: 'kubectl apply -f folder + rollout status of each Deployment', target: { atMost: 1 } };
  } finally {
    await Promise.all([observed.ours.close(), observed.theirs.close()]);
  }
}

async function writeObjects(folder: string, image: string, version: number): Promise<string> {
  const count = (length: number, make: (index: number) => object): object[] => Array.from({ length }, (_none, index) => make(index));
  const objects = [
    ...count(CONFIG_MAPS, (index) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `settings-${index}` }, data: { version: String(version), 'app.properties': `level=${version}\nname=${index}\n` } })),
    ...count(SERVICES, (index) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `web-${index}`, labels: { version: `v${version}` } },
      spec: { selector: { app: `web-${index}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    })),
    ...count(DEPLOYMENTS, (index) => idleDeployment(`web-${index}`, image, 1)),
  ];
  await mkdir(folder, { recursive: true });
  await Promise.all(objects.map((object, index) => writeFile(join(folder, `${String(index).padStart(2, '0')}.yaml`), stringify(object))));
  return folder;
}
