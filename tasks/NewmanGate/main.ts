import { runTask } from '../core/agent/runTask';
import { runGate } from './runGate';
import { secretValues } from './secretValues';

const secrets = secretValues(process.env);
void runTask((agent, signal) => runGate(agent, signal, secrets));
