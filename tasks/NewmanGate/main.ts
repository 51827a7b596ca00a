import { runTask } from '../core/agent/runTask';
import { runGate } from './runGate';

void runTask(runGate);
