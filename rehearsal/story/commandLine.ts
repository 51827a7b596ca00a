import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Variable } from '../agent/jobVariables';

/** What `npm start` was asked to do. */
export type Command =
  | { readonly kind: 'help' }
  /** The sample story: a good version, then a broken one. */
  | { readonly kind: 'sample' }
  | RehearseCommand;

export interface RehearseCommand {
  readonly kind: 'rehearse';
  /** Absolute, as all paths here. */
  readonly pipeline: string;
  /** A real cluster; undefined for the embedded one. */
  readonly kubeconfig: string | undefined;
  readonly variables: readonly Variable[];
  readonly parameters: Readonly<Record<string, string>>;
  /** Folders that stand for repositories, by alias. */
  readonly repositories: Readonly<Record<string, string>>;
  readonly connections: readonly { readonly name: string; readonly file: string }[];
  readonly hostType: 'build' | 'release';
  readonly node: string | undefined;
  /** Undefined: the tasks of this project, built where needed. */
  readonly tasks: string | undefined;
  readonly sources: string | undefined;
}

/** A command line that cannot be carried out; shown with a hint at --help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `Usage:
  npm start                                   rehearses the sample: a good version, then a broken one
  npm start -- <azure-pipelines.yml> [options]

Options:
  --kubeconfig FILE        run against this cluster instead of the embedded one
  --var NAME=VALUE         set a variable, over the one in the file (may be repeated)
  --secret-var NAME        set a secret variable from the environment variable NAME (may be repeated)
  --parameter NAME=VALUE   a parameter of the pipeline; the value is YAML (may be repeated)
  --repository ALIAS=DIR   what stands for a repository under resources.repositories (default: templates/ of this project;
                           may be repeated)
  --connection NAME=FILE   a service connection: a kubeconfig, or JSON with type, url, scheme, authorization, data
                           (may be repeated); other connections to Kubernetes lead to the cluster of the rehearsal
  --host-type TYPE         build (default) or release
  --node FILE              the Node.js binary that runs the tasks
  --tasks DIR              a folder with built tasks, one sub-folder each
  --sources DIR            what stands for the checked-out repository (default: the repository of the pipeline)`;

/**
 * @param folder what relative paths are relative to
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[], environment: NodeJS.ProcessEnv, folder: string): Command {
  const { values, positionals } = parsed(args);
  if (values.help) return { kind: 'help' };
  const [pipeline, ...more] = positionals;
  if (pipeline === undefined) {
    const [option] = Object.keys(values);
    if (option !== undefined) throw new UsageError(`--${option} needs a pipeline to rehearse: npm start -- <azure-pipelines.yml> --${option} …`);
    return { kind: 'sample' };
  }
  if (more.length > 0) throw new UsageError(`One pipeline at a time: '${more.join("', '")}' is too much.`);

  const path = (given: string | undefined): string | undefined => (given === undefined ? undefined : resolve(folder, given));
  return {
    kind: 'rehearse',
    pipeline: resolve(folder, pipeline),
    kubeconfig: path(values.kubeconfig),
    variables: [
      ...(values.var ?? []).map((text) => pair(text, '--var', 'NAME=VALUE')),
      ...(values['secret-var'] ?? []).map((name) => secret(name, environment)),
    ],
    parameters: mapping(values.parameter, '--parameter', 'NAME=VALUE', (value) => value),
    repositories: mapping(values.repository, '--repository', 'ALIAS=DIR', (value) => resolve(folder, value)),
    connections: (values.connection ?? []).map((text) => {
      const { name, value } = pair(text, '--connection', 'NAME=FILE');
      return { name, file: resolve(folder, value) };
    }),
    hostType: hostType(values['host-type']),
    node: path(values.node),
    tasks: path(values.tasks),
    sources: path(values.sources),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        kubeconfig: { type: 'string' },
        var: { type: 'string', multiple: true },
        'secret-var': { type: 'string', multiple: true },
        parameter: { type: 'string', multiple: true },
        repository: { type: 'string', multiple: true },
        connection: { type: 'string', multiple: true },
        'host-type': { type: 'string' },
        node: { type: 'string' },
        tasks: { type: 'string' },
        sources: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split(/\.\s/)[0] ?? '', { cause: error });
  }
}

function pair(text: string, option: string, form: string): { name: string; value: string } {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UsageError(`${option} ${text} has not the form ${option} ${form}.`);
  return { name: text.slice(0, equals), value: text.slice(equals + 1) };
}

function mapping(texts: readonly string[] = [], option: string, form: string, read: (value: string) => string): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const { name, value } = pair(text, option, form);
      return [name, read(value)];
    }),
  );
}

function secret(name: string, environment: NodeJS.ProcessEnv): Variable {
  if (name.includes('=')) {
    throw new UsageError(`--secret-var takes a name only; its value comes from the environment, where others do not see it.`);
  }
  const value = environment[name];
  if (value === undefined) throw new UsageError(`--secret-var ${name}: there is no environment variable ${name}.`);
  return { name, value, secret: true };
}

function hostType(given = 'build'): 'build' | 'release' {
  if (given !== 'build' && given !== 'release') throw new UsageError(`--host-type is build or release, not '${given}'.`);
  return given;
}
