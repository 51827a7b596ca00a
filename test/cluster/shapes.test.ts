import { shapesContract } from '../contract/shapesContract';
import { realGuardCluster } from './realGuardCluster';

shapesContract('the real cluster', realGuardCluster);
