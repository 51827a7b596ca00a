import { runTask } from '../core/agent/runTask';
import { jobSecrets } from './jobSecrets';
import { triggerAndMonitor } from './triggerAndMonitor';

const environment = { variables: { ...process.env }, secrets: jobSecrets(process.env) };
void runTask((agent, signal) => triggerAndMonitor(agent, signal, environment));
