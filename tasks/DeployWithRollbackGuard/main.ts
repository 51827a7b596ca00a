import { runTask } from '../core/agent/runTask';
import { guard } from './guard';

void runTask(guard);
