import { othersFields, ownedFields } from './fieldOwnership';
import type { FieldSet, KubernetesObject } from './objects';
import { podSpecPath } from './podSpecPath';

/** A place in an object: names of fields, and names of items where a list is gone through. */
export type Place = readonly (string | { readonly name: string })[];

type Tree = Record<string, unknown>;

const HANDLERS = new Set(['exec', 'httpGet', 'tcpSocket', 'grpc']);
/** What a container has with a handler in it. */
const HANDLED: readonly Place[] = [['livenessProbe'], ['readinessProbe'], ['startupProbe'], ['lifecycle', 'postStart'], ['lifecycle', 'preStop']];

/**
 * Where a configuration chooses another kind of value than the object has: another source of a volume, another handler of
 * a probe, another strategy, or no probe any more where there was one of ours. An apply cannot do that where the server
 * has filled in defaults: those are nobody's, so they stay, and the server refuses two of a kind, or a rest without one.
 */
export function unionSwitches(live: KubernetesObject, config: KubernetesObject): Place[] {
  const path = podSpecPath(config);
  const pods = { live: at(live, path), config: at(config, path) };
  const strategies = ['strategy', 'updateStrategy'].map((name): Place => ['spec', name]).filter((place) => typeOf(at(live, place)) !== typeOf(at(config, place)) && isTree(at(config, place)));
  const volumes = namedPairs(pods, 'volumes').filter(({ live, config }) => differ(live, config, (name) => name !== 'name'));
  const containers = ['containers', 'initContainers'].flatMap((list) => namedPairs(pods, list));
  return [
    ...strategies,
    ...volumes.map(({ place }) => [...path, ...place]),
    ...containers.flatMap(({ place, live, config }) => containerSwitches(live, config).map((inner) => [...path, ...place, ...inner])),
    ...containers.flatMap(({ place, live: container, config }) =>
      HANDLED.filter((inner) => at(container, inner) !== undefined && at(config, inner) === undefined)
        .map((inner) => [...path, ...place, ...inner])
        .filter((whole) => isOursAlone(live, whole)),
    ),
  ];
}

function isOursAlone(object: KubernetesObject, place: Place): boolean {
  const others = othersFields(object.metadata.managedFields ?? []);
  return fieldsAt(ownedFields(object), place) !== undefined && fieldsAt(others, place) === undefined;
}

function fieldsAt(fields: FieldSet | undefined, place: Place): FieldSet | undefined {
  return place.reduce<FieldSet | undefined>((set, step) => set?.[typeof step === 'string' ? `f:${step}` : `k:${JSON.stringify(step)}`], fields);
}

function containerSwitches(live: Tree, config: Tree): Place[] {
  const isHandler = (name: string) => HANDLERS.has(name);
  const switched = HANDLED.filter((place) => differ(at(live, place), at(config, place), isHandler));
  const variables = namedPairs({ live, config }, 'env').filter((pair) => isSourced(pair.live) !== isSourced(pair.config) || differ(pair.live['valueFrom'], pair.config['valueFrom'], () => true));
  return [...switched, ...variables.map(({ place }) => place)];
}

function isSourced(variable: Tree): boolean {
  return variable['valueFrom'] !== undefined;
}

/** Where neither says, both have the default. */
function typeOf(strategy: unknown): unknown {
  return (isTree(strategy) ? strategy['type'] : undefined) ?? 'RollingUpdate';
}

/** Whether the object has a member that the configuration exchanges for another one. */
function differ(live: unknown, config: unknown, isMember: (name: string) => boolean): boolean {
  if (!isTree(live) || !isTree(config)) return false;
  const chosen = Object.keys(config).filter(isMember);
  return chosen.length > 0 && Object.keys(live).some((name) => isMember(name) && !chosen.includes(name));
}

function namedPairs(both: { live: unknown; config: unknown }, list: string): { place: Place; live: Tree; config: Tree }[] {
  const items = at(both.config, [list]);
  if (!Array.isArray(items)) return [];
  return items.filter(isTree).flatMap((config) => {
    const place: Place = [list, { name: String(config['name']) }];
    const live = at(both.live, place);
    return isTree(live) ? [{ place, live, config }] : [];
  });
}

/** The object with what the other has at these places. */
export function substitute<T extends KubernetesObject>(object: T, other: KubernetesObject, places: readonly Place[]): T {
  return places.reduce<unknown>((changed, place) => put(changed, place, at(other, place)), object) as T;
}

function at(value: unknown, [step, ...rest]: Place): unknown {
  if (step === undefined) return value;
  if (typeof step === 'string') return isTree(value) ? at(value[step], rest) : undefined;
  return Array.isArray(value) ? at(value.find((item) => isTree(item) && item['name'] === step.name), rest) : undefined;
}

function put(value: unknown, [step, ...rest]: Place, inner: unknown): unknown {
  if (step === undefined) return inner;
  if (typeof step !== 'string') return Array.isArray(value) ? value.map((item: unknown) => (isTree(item) && item['name'] === step.name ? put(item, rest, inner) : item)) : value;
  return isTree(value) || value === undefined ? { ...value, [step]: put(value?.[step], rest, inner) } : value;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
