import type { Agent } from '../core/agent/agent';
import { AzureDevOpsClient } from '../core/azureDevOps/client';
import { httpTransport } from '../core/azureDevOps/transport';
import { formatDuration, type Clock } from '../core/time/clock';
import type { ConnectionInputs } from './connection';

/** From this length on, a wait that the service asks for is told in the log. */
const TOLD_WAIT_MS = 5_000;

/** A client for the organization that the inputs name, through the agent's proxy and with its CA. */
export function openClient(agent: Agent, { urls, credentials }: ConnectionInputs, clock: Clock): AzureDevOpsClient {
  return new AzureDevOpsClient({
    urls,
    credentials,
    clock,
    transport: httpTransport((url) => agent.network(url)),
    onThrottled: (wait) => {
      if (wait >= TOLD_WAIT_MS) agent.info(`Azure DevOps asks to wait ${formatDuration(wait)} before the next request.`);
    },
  });
}
