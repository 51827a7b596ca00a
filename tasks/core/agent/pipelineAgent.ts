import * as os from 'node:os';
import { Writable } from 'node:stream';
import type * as TaskLib from 'azure-pipelines-task-lib/task';
import type { Agent, AgentNetwork, ServiceConnection, TestResults } from './agent';
import { disarm, disarmLine } from './disarm';
import { UserError } from './userError';

/** The agent that runs this process, through azure-pipelines-task-lib. */
export function pipelineAgent(): Agent {
  const secrets = secretValues(process.env);
  const lib = loadTaskLib();
  const stdout = process.stdout;
  const discard = new Writable({ write: (_chunk, _encoding, done) => done() });

  /** task-lib writes every value it reads into the debug output, secrets included: while it reads, it is muted. */
  function read<T>(reading: () => T): T {
    lib.setStdStream(discard);
    try {
      return reading();
    } finally {
      lib.setStdStream(stdout);
    }
  }

  const masked = new Set<string>();
  const print = (text: string) => stdout.write(`${text}${os.EOL}`);
  const variable = (name: string) => read(() => lib.getVariable(name)) || undefined;

  return {
    info: (text) => print(disarm(text)),
    section: (title) => print(`##[section]${disarmLine(title)}`),
    group: (title, lines) => print([`##[group]${disarmLine(title)}`, ...lines.map(disarm), '##[endgroup]'].join(os.EOL)),
    debug: (text) => text.split(/\r?\n/).forEach((line) => lib.debug(disarm(line))),
    warning: (text) => lib.command('task.logissue', { type: 'warning' }, disarmLine(text)),
    error: (text) => lib.command('task.logissue', { type: 'error' }, disarmLine(text)),
    progress: (percent, operation) => lib.setProgress(Math.floor(percent), disarmLine(operation)),

    input: (name) => read(() => lib.getInput(name))?.trim() ?? emptyInput(name),
    variable,
    variableNames: () => read(() => lib.getVariables()).map(({ name, secret }) => ({ name, secret })),
    environment: (name) => process.env[name] || undefined,
    serviceConnection: (id) => read(() => serviceConnection(lib, id)),
    network: (url) => read(() => network(lib, url)),
    secretValues: secrets,
    tempDirectory: variable('Agent.TempDirectory') ?? os.tmpdir(),
    workingDirectory: variable('System.DefaultWorkingDirectory') ?? process.cwd(),

    setOutput: (name, value) => lib.command('task.setvariable', { variable: name, isOutput: 'true' }, disarmLine(value)),
    setSecret: (value) =>
      maskedForms(value)
        .filter((form) => !masked.has(form))
        .forEach((form) => {
          masked.add(form);
          lib.command('task.setsecret', null, form);
        }),
    setTaskVariable: (name, value) => lib.command('task.settaskvariable', { variable: name }, value),
    taskVariable: (name) => read(() => lib.getTaskVariable(name)) || undefined,

    attach: (type, name, file) => lib.command('task.addattachment', { type, name }, file),
    uploadSummary: (file) => lib.command('task.uploadsummary', null, file),
    publishTestResults: (results) => publish(lib, results),
    complete: (result, message) => lib.command('task.complete', { result }, disarmLine(message)),
  };
}

/** What to register with the agent's masker, which compares line by line and literally. */
export function maskedForms(value: string): string[] {
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  const whole = value.trim();
  const forms = [...lines, Buffer.from(whole).toString('base64'), encodeURIComponent(whole)];
  return [...new Set(forms)].filter((form) => form.length > 2);
}

/**
 * Loads task-lib with stdout held back: at its start it writes the password of the agent's proxy into the debug output.
 * Its handlers of uncaught errors are taken off: they report a second result and show the user a stack.
 */
function loadTaskLib(): typeof TaskLib {
  const write = process.stdout.write.bind(process.stdout);
  const ours = new Set(UNCAUGHT.flatMap((event) => process.rawListeners(event)));
  process.stdout.write = () => true;
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import would be hoisted above the muting
    return require('azure-pipelines-task-lib/task') as typeof TaskLib;
  } finally {
    process.stdout.write = write;
    for (const event of UNCAUGHT) {
      const added = process.rawListeners(event).filter((listener) => !ours.has(listener));
      added.forEach((listener) => process.removeListener(event, listener as (...args: unknown[]) => void));
    }
  }
}

const UNCAUGHT = ['uncaughtException', 'unhandledRejection'];

/** A Node task gets every secret variable as SECRET_<NAME>; task-lib takes them away when it loads, and lists none. */
function secretValues(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => (/^SECRET_/i.test(name) && value ? [value] : []));
}

/** task-lib takes non-empty inputs into its vault; an empty one stays in the environment. */
function emptyInput(name: string): string | undefined {
  return process.env[`INPUT_${name.replace(/[. ]/g, '_').toUpperCase()}`] === '' ? '' : undefined;
}

function serviceConnection(lib: typeof TaskLib, id: string): ServiceConnection | undefined {
  const authorization = lib.getEndpointAuthorization(id, true);
  const url = lib.getEndpointUrl(id, true);
  if (!authorization && !url) return undefined;
  return {
    id,
    url: url ?? '',
    scheme: authorization?.scheme ?? 'None',
    authorization: lowerCaseKeys(authorization?.parameters ?? {}),
    data: lowerCaseKeys(parseObject(process.env[`ENDPOINT_DATA_${id}`])),
  };
}

function network(lib: typeof TaskLib, url: string): AgentNetwork {
  const proxy = lib.getHttpProxyConfiguration(url);
  return {
    proxyUrl: proxy?.proxyFormattedUrl ?? undefined,
    caFile: lib.getHttpCertConfiguration()?.caFile || undefined,
  };
}

function publish(lib: typeof TaskLib, results: TestResults): void {
  const withComma = results.files.find((file) => file.includes(','));
  if (withComma) {
    throw new UserError(`Test results in ${withComma} cannot be published: the agent cannot take a path with a comma`, 'Use a working folder without one.');
  }
  lib.command(
    'results.publish',
    { type: 'JUnit', resultFiles: results.files.join(','), runTitle: results.title, mergeResults: 'true', publishRunAttachments: 'true' },
    '',
  );
}

function lowerCaseKeys(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key.toLowerCase(), value]));
}

function parseObject(json: string | undefined): Record<string, string> {
  if (!json) return {};
  try {
    return JSON.parse(json) as Record<string, string>;
  } catch {
    return {};
  }
}
