import { runPostJob } from '../core/agent/runTask';
import { sweepBuild } from './sweepBuild';

void runPostJob(sweepBuild);
