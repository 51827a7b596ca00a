import { runPostJob } from '../core/agent/runTask';
import { finishChild } from './finishChild';

void runPostJob(finishChild);
