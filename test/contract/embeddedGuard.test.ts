import { embeddedGuardCluster } from './embeddedGuardCluster';
import { guardContract } from './guardContract';

guardContract('the embedded cluster', embeddedGuardCluster);
