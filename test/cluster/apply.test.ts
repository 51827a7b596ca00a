import { applyContract } from '../contract/applyContract';
import { realCluster } from './realCluster';

applyContract('the real cluster', async () => {
  const cluster = await realCluster();
  // The packed API server of 1.20 dies of any custom resource: its JSON library is too old for the Go that built it.
  return { ...cluster, lacks: cluster.ownsCluster ? ['custom resources'] : [] };
});
