import type { Agent } from '../core/agent/agent';
import type { ClusterTarget } from './inputs';

export interface OpenTarget {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** Makes the target reachable from the agent. The Kubernetes client is loaded here, as most gates need none. */
export async function openTarget(target: ClusterTarget, agent: Agent, signal: AbortSignal): Promise<OpenTarget> {
  const [{ connectCluster }, { clusterSource }, { forwardPort }] = await Promise.all([
    import('../core/kubernetes/connect'),
    import('../core/kubernetes/clusterSource'),
    import('../core/kubernetes/portForward'),
  ]);
  const { client } = connectCluster(clusterSource(target.connection), agent);
  try {
    const forward = await forwardPort(client, { namespace: target.namespace, target: target.forward, signal });
    return {
      url: forward.url,
      close: async () => {
        await forward.close();
        client.close();
      },
    };
  } catch (error) {
    client.close();
    throw error;
  }
}
