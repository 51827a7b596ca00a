import { startEmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { applyContract } from './applyContract';

applyContract('the embedded cluster', () => startEmbeddedCluster());
