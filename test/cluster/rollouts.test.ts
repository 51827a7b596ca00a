import { rolloutsContract } from '../contract/rolloutsContract';
import { shellCluster } from './shellCluster';

rolloutsContract('the real cluster', shellCluster);
