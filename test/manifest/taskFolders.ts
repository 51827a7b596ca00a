import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import type { TaskJson } from '../../scripts/taskManifest';

/** A folder of tasks/ that has a task.json. */
export interface TaskFolder {
  readonly name: string;
  readonly folder: string;
  readonly manifest: TaskJson;
}

export const repository = resolve(__dirname, '..', '..');

/** All tasks there are; whatever is added is checked as well. */
export function taskFolders(): TaskFolder[] {
  return readdirSync(join(repository, 'tasks'))
    .map((name) => ({ name, folder: join(repository, 'tasks', name) }))
    .filter(({ folder }) => existsSync(join(folder, 'task.json')))
    .map((task) => ({ ...task, manifest: JSON.parse(readFileSync(join(task.folder, 'task.json'), 'utf8')) as TaskJson }));
}

/** A call in a source file, as far as the tests look at it. */
export interface Call {
  readonly file: string;
  /** What the method was called on, as it is written; empty for a plain function. */
  readonly receiver: string;
  readonly name: string;
  /** The text of each argument that is a string literal, the source of each that is not. */
  readonly arguments: readonly { readonly literal: boolean; readonly text: string }[];
}

/** All calls in the TypeScript files of a folder. */
export function callsIn(folder: string): Call[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.flatMap((file) => callsOf(file, readFileSync(join(folder, file), 'utf8')));
}

/** All calls in a source text. */
export function callsOf(file: string, text: string): Call[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const calls: Call[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const callee = node.expression;
      const method = ts.isPropertyAccessExpression(callee);
      calls.push({
        file,
        receiver: method ? callee.expression.getText() : '',
        name: method ? callee.name.text : callee.getText(),
        arguments: (node.arguments ?? []).map((argument) =>
          ts.isStringLiteralLike(argument) ? { literal: true, text: argument.text } : { literal: false, text: argument.getText() },
        ),
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return calls;
}

/** The first cells and the whole rows of the tables below a heading of level two. */
export function tableRows(markdown: string, heading: RegExp): { name: string; row: string }[] {
  const section = markdown.split(/^## /m).find((part) => heading.test(part)) ?? '';
  return [...section.matchAll(/^\| *`([A-Za-z0-9]+)` *\|.*$/gm)].map(([row, name = '']) => ({ name, row }));
}
