import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { registerSampleImages, SAMPLE_IMAGE, SAMPLE_VERSIONS } from '../../rehearsal/story/sampleService';
import { CRASHING_PROGRAM } from './crashingProgram';
import { serviceAccount, type GuardCluster } from './guardContract';
import { roleRules } from './securityRoles';

const ROOT = path.resolve(__dirname, '../..');

/** The embedded cluster with the sample's images, for contracts of guarded deploys. */
export async function embeddedGuardCluster(): Promise<GuardCluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'release-guard-images-'));
  const images = folderImageStore();
  await registerSampleImages(images, ROOT, folder);
  const crashing = path.join(folder, 'crashing');
  await mkdir(crashing);
  await writeFile(path.join(crashing, 'crash.py'), CRASHING_PROGRAM);
  images.add(`${SAMPLE_IMAGE}:crashing`, { rootfs: crashing, config: { Entrypoint: ['python3', '/crash.py'], WorkingDir: '/' } });

  const token = 'least-rights';
  const rules = await roleRules('release-guard-deploy', 'release-guard-gate');
  const cluster = await startEmbeddedCluster({ images, users: [{ token, user: 'system:serviceaccount:pipelines:release-guard', rules }] });
  return {
    kubeconfig: cluster.kubeconfig,
    images: {
      before: `${SAMPLE_IMAGE}:${SAMPLE_VERSIONS.before}`,
      good: `${SAMPLE_IMAGE}:${SAMPLE_VERSIONS.good}`,
      broken: `${SAMPLE_IMAGE}:${SAMPLE_VERSIONS.broken}`,
      crashing: `${SAMPLE_IMAGE}:crashing`,
      missing: `${SAMPLE_IMAGE}:never-pushed`,
    },
    connection: () =>
      Promise.resolve(serviceAccount({ name: 'cluster' }, { url: cluster.url, token, ca: Buffer.from(cluster.caPem).toString('base64') })),
    stop: async () => {
      await cluster.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
