import { startEmptyRegistry } from './emptyRegistry';
import { realCluster } from './realCluster';

export interface ShellCluster {
  readonly kubeconfig: string;
  /** An image with a shell, and one that nobody has pushed. */
  readonly images: { readonly shell: string; readonly missing: string };
  /** Whether it survives them: the API server that KUBE_LOCAL starts crashes on every custom resource. */
  readonly customResources: boolean;
  stop(): Promise<void>;
}

/** A real cluster whose node has an image with a shell, and a registry that has no image at all. */
export async function shellCluster(): Promise<ShellCluster> {
  const registry = await startEmptyRegistry();
  const cluster = await realCluster();
  return {
    kubeconfig: cluster.kubeconfig,
    images: { shell: 'busybox:1.35', missing: cluster.ownsCluster ? `127.0.0.1:${registry.port}/service:never-pushed` : 'busybox:never-pushed' },
    customResources: !cluster.ownsCluster,
    stop: async () => {
      await cluster.stop();
      registry.stop();
    },
  };
}
