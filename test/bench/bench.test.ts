import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchArguments } from '../../scripts/bench';
import { MissingTool } from '../../scripts/bench/benchmark';
import { openRealCluster } from '../../scripts/bench/realCluster';

describe('the command line of the benchmarks', () => {
  const known = ['deploy', 'kaniko'];
  const cases: [string[], ReturnType<typeof benchArguments>][] = [
    [[], { names: known, quick: false }],
    [['--quick'], { names: known, quick: true }],
    [['kaniko'], { names: ['kaniko'], quick: false }],
    [['deploy', '--quick', 'deploy'], { names: ['deploy'], quick: true }],
  ];
  for (const [argv, expected] of cases) it(`'${argv.join(' ')}'`, () => assert.deepEqual(benchArguments(argv, known), expected));

  it('refuses what does not exist', () => {
    assert.throws(() => benchArguments(['deplyo'], known), /There is no benchmark 'deplyo'. There are: deploy, kaniko/);
    assert.throws(() => benchArguments(['--fast'], known), /--fast/);
  });
});

describe('a benchmark that needs a cluster', () => {
  const variables = ['KUBECONFIG', 'KUBE_LOCAL', 'PATH'] as const;
  const before = new Map(variables.map((name) => [name, process.env[name]]));
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-guard-bench-test-'));
    for (const name of ['KUBECONFIG', 'KUBE_LOCAL'] as const) delete process.env[name];
  });

  afterEach(async () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await rm(folder, { recursive: true });
  });

  const refusal = (what: RegExp) => (error: unknown) => error instanceof MissingTool && what.test(error.message);

  it('says so where there is none', () => assert.rejects(openRealCluster(), refusal(/Set KUBECONFIG .* or KUBE_LOCAL/)));

  it('says so where KUBE_LOCAL has no start-cluster.sh', async () => {
    process.env['KUBE_LOCAL'] = folder;
    await assert.rejects(openRealCluster(), refusal(/a folder with a start-cluster.sh/));
  });

  it('says so where KUBECONFIG names no file', async () => {
    process.env['KUBECONFIG'] = join(folder, 'none');
    await assert.rejects(openRealCluster(), refusal(/which does not exist/));
  });

  it('says so where there is no kubectl', async () => {
    process.env['KUBECONFIG'] = __filename;
    process.env['PATH'] = folder;
    await assert.rejects(openRealCluster(), refusal(/kubectl is not on the PATH/));
  });
});
