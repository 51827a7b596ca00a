import type { UserError } from '../core/agent/userError';
import { strategicMerge } from './strategicMerge';

/** What a user wants of the pod beyond what a build needs. */
export interface PodSettings {
  readonly resources: Readonly<Record<string, unknown>> | undefined;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly unknown[];
  readonly serviceAccount: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** A strategic merge patch of the pod. */
  readonly overrides: Readonly<Record<string, unknown>> | undefined;
}

/** What the task relies on in its pod: what people call it, and how to get there. */
const RELIED_ON: readonly [name: string, read: (pod: PodShape) => unknown][] = [
  ['kind', (pod) => [pod.apiVersion, pod.kind]],
  ['metadata.name', (pod) => [pod.metadata?.name, pod.metadata?.namespace, pod.metadata?.generateName]],
  ['spec.restartPolicy', (pod) => pod.spec?.restartPolicy],
  ['spec.activeDeadlineSeconds', (pod) => pod.spec?.activeDeadlineSeconds],
  ['args of the container kaniko', (pod) => [kaniko(pod)?.args, kaniko(pod)?.command]],
  ['stdin of the container kaniko', (pod) => [kaniko(pod)?.stdin, kaniko(pod)?.stdinOnce, kaniko(pod)?.tty]],
  ['the termination message of the container kaniko', (pod) => [kaniko(pod)?.terminationMessagePath, kaniko(pod)?.terminationMessagePolicy]],
];

interface PodShape {
  apiVersion?: string;
  kind?: string;
  metadata?: { name?: string; namespace?: string; generateName?: string; labels?: Record<string, string> };
  spec?: { restartPolicy?: string; activeDeadlineSeconds?: number; containers?: ContainerShape[] };
}

interface ContainerShape {
  name?: string;
  args?: unknown;
  command?: unknown;
  stdin?: unknown;
  stdinOnce?: unknown;
  tty?: unknown;
  terminationMessagePath?: unknown;
  terminationMessagePolicy?: unknown;
}

function kaniko(pod: PodShape): ContainerShape | undefined {
  return pod.spec?.containers?.find(({ name }) => name === 'kaniko');
}

/**
 * The pod with what the user wants changed.
 * @throws what `invalid` makes where the change would break the build
 */
export function overridden<T extends object>(pod: T, overrides: Readonly<Record<string, unknown>> | undefined, invalid: (why: string) => UserError): T {
  if (!overrides) return pod;
  const changed = strategicMerge(pod, overrides) as T;
  const [before, after] = [pod as PodShape, changed as PodShape];
  if (!kaniko(after)) throw invalid("it takes the container 'kaniko' away");
  const broken = RELIED_ON.find(([, read]) => JSON.stringify(read(before)) !== JSON.stringify(read(after)));
  if (broken) throw invalid(`the task itself sets ${broken[0]}`);
  // Others may be added; by these the task finds its pods again.
  const labels = after.metadata?.labels ?? {};
  const lost = Object.entries(before.metadata?.labels ?? {}).find(([name, value]) => labels[name] !== value);
  if (lost) throw invalid(`the task itself sets the label ${lost[0]}`);
  return changed;
}
