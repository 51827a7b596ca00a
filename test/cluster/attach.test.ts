import { attachContract } from '../contract/attachContract';
import { realCluster } from './realCluster';

attachContract('real cluster', () => realCluster());
