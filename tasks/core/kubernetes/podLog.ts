import type { KubernetesClient } from './client';
import { resourcePath } from './resourcePath';

export interface PodLogOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** The log of the container's last ended run instead of the current one. */
  readonly previous?: boolean;
  readonly tailLines?: number;
  readonly signal?: AbortSignal | undefined;
}

/** The last lines of a container's log. They come from outside: the agent interface disarms them when they are printed. */
export async function podLog(client: KubernetesClient, options: PodLogOptions): Promise<string[]> {
  const path = resourcePath('pods', { namespace: options.namespace, name: options.pod, subresource: 'log' });
  const response = await client.stream(path, {
    query: { container: options.container, previous: options.previous || undefined, tailLines: options.tailLines, limitBytes: 64 * 1024 },
    signal: options.signal,
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response.body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
}
