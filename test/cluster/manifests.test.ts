import { manifestsContract } from '../contract/manifestsContract';
import { shellCluster } from './shellCluster';

manifestsContract('the real cluster', shellCluster);
