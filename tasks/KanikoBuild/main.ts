import { runTask } from '../core/agent/runTask';
import { kanikoBuild } from './kanikoBuild';

void runTask(kanikoBuild);
