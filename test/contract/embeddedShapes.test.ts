import { embeddedGuardCluster } from './embeddedGuardCluster';
import { shapesContract } from './shapesContract';

shapesContract('the embedded cluster', embeddedGuardCluster);
