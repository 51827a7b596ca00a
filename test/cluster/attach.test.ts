import { attachContract } from '../contract/attachContract';
import { startRealCluster } from './realCluster';

attachContract('real cluster', () => startRealCluster());
