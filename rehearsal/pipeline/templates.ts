import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { bindParameters, givenParameters } from './templateParameters';
import { YamlNode, type YamlEntry } from './yamlNode';

/** How deep templates may stand within templates, as the service has it. */
const MAX_DEPTH = 100;

/** Finds the templates that a pipeline names. */
export class Templates {
  /** @param repositories the folder that stands for each alias under `resources.repositories`, without case */
  constructor(private readonly repositories: ReadonlyMap<string, string>) {}

  /**
   * Puts the templates among the items of a list in their place.
   *
   * @param key under which a template has its list, for example `steps`
   * @param read takes an item that is no template
   */
  expand<T>(items: readonly YamlNode[], key: string, read: (item: YamlNode) => T, depth = 0): T[] {
    return items.flatMap((item) => {
      const entries = item.isMapping ? item.entries('an item') : [];
      const reference = entries.find((entry) => entry.key === 'template');
      if (!reference) return [read(item)];
      const template = this.open(reference, entries, depth);
      const list = template.written(key);
      if (!list) throw reference.value.error(`the template has no '${key}', so it cannot stand among ${key}.`);
      const others = template.entries('A template').filter((entry) => entry.key !== key && entry.key !== 'parameters');
      for (const { key: other, keyNode } of others) throw keyNode.error(`'${other}' is not known in a template of ${key}.`);
      return this.expand(list.isEmpty ? [] : list.items(key), key, read, depth + 1);
    });
  }

  /**
   * The template that an entry `template: file` or `template: file@alias` names, its parameters bound.
   *
   * @param entries beside it, of which `parameters` are the values
   */
  open(reference: YamlEntry, entries: readonly YamlEntry[], depth = 0): YamlNode {
    const { value: node } = reference;
    if (depth >= MAX_DEPTH) throw node.error(`templates stand within templates more than ${String(MAX_DEPTH)} deep.`);
    for (const { key, keyNode } of entries) {
      if (key !== 'template' && key !== 'parameters') throw keyNode.error(`'${key}' cannot stand beside 'template'. Known there: parameters.`);
    }
    const file = this.#file(node);
    if (!existsSync(file.path)) throw node.error(`the template ${file.name} does not exist.`);
    const root = YamlNode.parse(readFileSync(file.path, 'utf8'), file);
    const parameters = bindParameters(
      root.written('parameters'),
      givenParameters(entries.find(({ key }) => key === 'parameters')?.value),
      node,
    );
    return root.inScope({ parameters, variable: node.variable, bound: {} });
  }

  #file(node: YamlNode): { name: string; path: string; repository: string } {
    const [path = '', alias] = node.text('template').split('@');
    const from = node.place.file;
    const name = path.trim();
    if (alias === undefined || alias === 'self') {
      // Without an alias in the repository of the file that names it, from its folder or, with a slash, from the root.
      const repository = alias === 'self' ? (this.repositories.get('self') ?? from.repository) : from.repository;
      const found = name.startsWith('/') || alias === 'self' ? join(repository, name) : resolve(dirname(from.path), name);
      return { name: shown(repository, found), path: found, repository };
    }
    const repository = this.repositories.get(alias.toLowerCase());
    if (repository === undefined) {
      throw node.error(`'${alias}' is not among resources.repositories.`);
    }
    return { name: `${name}@${alias}`, path: join(repository, name), repository };
  }
}

function shown(repository: string, path: string): string {
  const inside = relative(repository, path);
  return inside.startsWith('..') ? path : inside;
}
