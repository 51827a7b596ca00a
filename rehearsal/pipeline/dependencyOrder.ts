/** A stage or a job with the names of those that it waits for. */
export interface Dependent {
  readonly name: string;
  readonly dependsOn: readonly string[];
}

/** Why an order cannot be found, and for which of the nodes. */
export class DependencyProblem extends Error {
  constructor(
    readonly of: Dependent,
    message: string,
  ) {
    super(message);
  }
}

/**
 * An order in which every node comes after those that it depends on; otherwise they keep theirs.
 *
 * @throws DependencyProblem where one depends on what is not there, or on itself by a detour
 */
export function dependencyOrder<T extends Dependent>(nodes: readonly T[]): T[] {
  const ordered: T[] = [];
  const visit = (node: T, waiting: readonly T[]): void => {
    if (ordered.includes(node)) return;
    if (waiting.includes(node)) throw new DependencyProblem(node, `'${node.name}' depends on itself: ${[...waiting, node].map(({ name }) => name).join(' → ')}.`);
    for (const name of node.dependsOn) visit(named(nodes, name, node), [...waiting, node]);
    ordered.push(node);
  };
  for (const node of nodes) visit(node, []);
  return ordered;
}

/** What a node depends on, directly and by others, in the order given. */
export function allDependencies<T extends Dependent>(node: T, nodes: readonly T[]): T[] {
  const found = new Set<T>();
  const collect = (of: T): void => {
    for (const name of of.dependsOn) {
      const dependency = named(nodes, name, of);
      if (found.has(dependency)) continue;
      found.add(dependency);
      collect(dependency);
    }
  };
  collect(node);
  return nodes.filter((candidate) => found.has(candidate));
}

function named<T extends Dependent>(nodes: readonly T[], name: string, of: T): T {
  const found = nodes.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!found) throw new DependencyProblem(of, `'${of.name}' depends on '${name}', which is not there: ${nodes.map((node) => node.name).join(', ')}.`);
  return found;
}
