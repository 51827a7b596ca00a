import { applyContract } from '../contract/applyContract';
import { startRealCluster } from './realCluster';

applyContract('the real cluster', () => startRealCluster([], { node: false }));
