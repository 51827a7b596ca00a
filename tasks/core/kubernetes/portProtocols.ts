import type { KubernetesObject } from './objects';
import { podSpecPath } from './podSpecPath';

type Tree = Readonly<Record<string, unknown>>;

/**
 * The object with the protocol of every port written out. Ports are told apart by it, and servers up to 1.20 refuse to
 * apply those that leave it to its default (kubernetes#92332).
 */
export function withProtocols<T extends KubernetesObject>(object: T): T {
  if (object.kind === 'Service') return changed(object, ['spec'], (spec) => changed(spec, ['ports'], ports)) as T;
  return changed(object, podSpecPath(object), (spec) => changed(changed(spec, ['containers'], containers), ['initContainers'], containers)) as T;
}

function containers(list: unknown): unknown {
  return Array.isArray(list) ? list.map((container: unknown) => changed(container, ['ports'], ports)) : list;
}

function ports(list: unknown): unknown {
  return Array.isArray(list) ? list.map((port: unknown) => (isTree(port) && port['protocol'] === undefined ? { ...port, protocol: 'TCP' } : port)) : list;
}

/** The value with what lies at the path changed; itself where nothing lies there. */
function changed(value: unknown, path: readonly string[], change: (inner: unknown) => unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return change(value);
  return isTree(value) && value[step] !== undefined ? { ...value, [step]: changed(value[step], rest, change) } : value;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
