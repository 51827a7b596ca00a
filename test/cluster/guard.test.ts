import { guardContract } from '../contract/guardContract';
import { realGuardCluster } from './realGuardCluster';

guardContract('the real cluster', realGuardCluster);
