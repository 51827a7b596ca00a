import { runTask } from '../core/agent/runTask';
import { triggerAndMonitor } from './triggerAndMonitor';

void runTask(triggerAndMonitor);
