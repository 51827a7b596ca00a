import { nearNames } from '../core/agent/nearNames';
import { UserError } from '../core/agent/userError';
import type { Builds } from '../core/azureDevOps/builds';
import type { Releases } from '../core/azureDevOps/releases';
import type { BuildDefinition, ReleaseDefinition } from '../core/azureDevOps/restTypes';
import { isNotFound, type ServiceError } from '../core/azureDevOps/serviceError';
import type { DefinitionName, TargetType } from './inputs';

type Listed = Pick<BuildDefinition & ReleaseDefinition, 'id' | 'name' | 'path'>;

const NOUNS: Readonly<Record<TargetType, string>> = { pipeline: 'pipeline', build: 'build definition', release: 'release pipeline' };

/** Asks for definitions: {@link Builds} for pipelines and builds, {@link Releases} for releases. */
export type Definitions = Pick<Builds | Releases, 'project'> & {
  definitionsNamed(name: string, folder: string | undefined, signal: AbortSignal): Promise<Listed[]>;
  definitions(signal: AbortSignal): Promise<Listed[]>;
};

/** The id of a definition; one that is given by its id costs no request. */
export async function findDefinition(definitions: Definitions, wanted: DefinitionName, type: TargetType, signal: AbortSignal): Promise<number> {
  if ('id' in wanted) return wanted.id;
  const { name, folder } = wanted;
  const found = (await definitions.definitionsNamed(name, folder, signal)).filter(
    (definition) => definition.name?.toLowerCase() === name.toLowerCase() && (folder === undefined || sameFolder(definition.path, folder)),
  );
  if (found.length > 1) {
    throw new UserError(
      `Input 'definition' is not clear: project '${definitions.project}' has ${found.length} ${NOUNS[type]}s named '${name}'`,
      `Write the folder too: ${found.map(pathOf).join(' or ')}.`,
    );
  }
  const id = found[0]?.id;
  if (id !== undefined) return id;
  throw await unknownDefinition(definitions, folder === undefined ? name : `${folder}\\${name}`, name, type, signal);
}

/**
 * Makes a refusal clearer where it means that there is no definition with this id; gives any other error back as it is.
 */
export async function explainMissing(error: unknown, definitions: Definitions, id: number, type: TargetType, signal: AbortSignal): Promise<unknown> {
  // A code tells of something else that is missing, such as the project or the repository.
  if (!isNotFound(error) || (error as ServiceError).code !== '') return error;
  return unknownDefinition(definitions, String(id), '', type, signal);
}

async function unknownDefinition(definitions: Definitions, shown: string, name: string, type: TargetType, signal: AbortSignal): Promise<UserError> {
  const all = await definitions.definitions(signal);
  const what = `Input 'definition' is not valid: project '${definitions.project}' has no ${NOUNS[type]} ${/^\d+$/.test(shown) ? shown : `'${shown}'`} that this account may see`;
  if (all.length === 0) return new UserError(what, `It may see none at all: check 'project', and the account's right to view ${NOUNS[type]}s.`);
  const near = nearNames(all.map((definition) => definition.name ?? ''), name);
  const listed = near.length > 0 ? all.filter((definition) => near.includes(definition.name ?? '')) : all;
  const shownNames = listed.slice(0, 5).map((definition) => `${pathOf(definition)} (${definition.id})`);
  return new UserError(what, `${near.length > 0 ? 'Near names' : 'There are'}: ${shownNames.join(', ')}${listed.length > 5 ? ', …' : ''}.`);
}

function pathOf(definition: Listed): string {
  const folder = (definition.path ?? '\\').replace(/\\+$/, '');
  return `${folder}\\${definition.name ?? ''}`;
}

function sameFolder(path: string | undefined, folder: string): boolean {
  const plain = (text: string) => text.replace(/^\\+|\\+$/g, '').toLowerCase();
  return plain(path ?? '') === plain(folder);
}
