import { runPostJob } from '../core/agent/runTask';
import { finishChild } from './finishChild';
import { jobSecrets } from './jobSecrets';

const environment = { variables: { ...process.env }, secrets: jobSecrets(process.env) };
void runPostJob((agent, signal) => finishChild(agent, signal, environment));
