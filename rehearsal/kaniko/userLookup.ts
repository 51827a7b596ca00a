import { readFileSync } from 'node:fs';
import type { FileTree } from './fileTree';

export interface StageUser {
  uid: number;
  gid: number;
  name: string;
  home: string;
}

/** A user or group that is not there, in the words of the executor. */
export class UserError extends Error {}

/**
 * A user as USER or --chown name it: `name`, `uid`, `name:group`, `uid:gid`; names are looked up in the stage.
 * @param groupDefault what the group is where none is named and the user is a bare number
 * @throws UserError
 */
export function lookUpUser(text: string, tree: FileTree, groupDefault: 'own' | 'root' = 'own'): StageUser {
  const [userPart = '', groupPart] = text.split(':');
  const users = lines(tree, '/etc/passwd').map((fields) => ({ name: fields[0] ?? '', uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5] ?? '/' }));
  const isNumber = /^\d+$/.test(userPart);
  const found = users.find(({ name, uid }) => name === userPart || (isNumber && uid === Number(userPart)));
  if (!found && !isNumber) throw new UserError(`user ${userPart} is not a uid and does not exist on the system`);
  const uid = found?.uid ?? Number(userPart);
  const own = found?.gid ?? (groupDefault === 'own' ? uid : 0);
  return { uid, gid: groupPart === undefined || groupPart === '' ? (isNumber && groupDefault === 'own' ? uid : own) : lookUpGroup(groupPart, tree), name: found?.name ?? userPart, home: found?.home ?? '/' };
}

function lookUpGroup(text: string, tree: FileTree): number {
  if (/^\d+$/.test(text)) return Number(text);
  const found = lines(tree, '/etc/group').find(([name]) => name === text);
  if (!found) throw new UserError(`group ${text} is not a gid and does not exist on the system`);
  return Number(found[2]);
}

function lines(tree: FileTree, path: string): string[][] {
  const node = tree.find(path);
  return node?.type === 'file' ? readFileSync(node.content, 'utf8').split('\n').filter(Boolean).map((line) => line.split(':')) : [];
}
