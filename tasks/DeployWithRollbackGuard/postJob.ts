import { runPostJob } from '../core/agent/runTask';
import { finishRelease } from './finishRelease';

void runPostJob(finishRelease);
