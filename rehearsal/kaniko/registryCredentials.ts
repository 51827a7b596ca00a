import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Credentials {
  username: string;
  password: string;
}

interface DockerConfig {
  auths?: Record<string, { auth?: string; username?: string; password?: string }>;
  credHelpers?: Record<string, string>;
  credsStore?: string;
}

/** Credentials that cannot be read, in the words of the executor. */
export class CredentialsError extends Error {}

/**
 * The credentials of a Docker configuration file for a repository; those of the repository itself come first.
 * @param file where it lies; `shownAs` is its path in messages
 * @returns undefined: go on without
 * @throws CredentialsError
 */
export async function findCredentials(file: string, shownAs: string, registry: string, repository: string, options: { fork: boolean; path: string }): Promise<Credentials | undefined> {
  const config = readConfig(file, shownAs, options.fork);
  if (!config) return undefined;
  for (const key of [`${registry}/${repository}`, registry]) {
    const helper = config.credHelpers?.[key] ?? (key === registry ? config.credsStore : undefined);
    if (helper !== undefined && helper !== '') return askHelper(helper, key, options.path);
    const found = Object.entries(config.auths ?? {}).find(([name]) => name === key || hostOf(name) === key);
    if (found) return found[1];
  }
  return undefined;
}

/** `https://registry/v1/` and the like mean the registry; so does a repository of it. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').split('/')[0] ?? '';
}

function readConfig(file: string, shownAs: string, fork: boolean): { auths: Record<string, Credentials>; credHelpers?: Record<string, string>; credsStore?: string } | undefined {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const fail = (why: string): CredentialsError => new CredentialsError(`parsing config file (${shownAs}): ${why}`);
  if (text.trim() === '') return undefined;
  let config: DockerConfig;
  try {
    config = JSON.parse(text) as DockerConfig;
  } catch {
    throw fail(goSyntaxError(text));
  }
  const auths: Record<string, Credentials> = {};
  for (const [key, { auth, username = '', password = '' }] of Object.entries(config.auths ?? {})) {
    if (!auth) {
      auths[key] = { username, password };
      continue;
    }
    const bad = auth.search(/[^A-Za-z0-9+/=]/);
    if (bad >= 0) throw fail(`illegal base64 data at input byte ${bad}`);
    const [, name, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth, 'base64').toString()) ?? [];
    if (name === undefined || secret === undefined) throw fail(fork ? 'invalid auth configuration file' : 'Invalid auth configuration file');
    auths[key] = { username: name, password: secret };
  }
  return { auths, ...(config.credHelpers ? { credHelpers: config.credHelpers } : {}), ...(config.credsStore ? { credsStore: config.credsStore } : {}) };
}

/** What Go's JSON reader complains of first; it knows where it is, where JavaScript's only knows the position. */
function goSyntaxError(text: string): string {
  for (let length = 1; length <= text.length; length++) {
    const sign = text[length - 1] ?? '';
    const before = text.slice(0, length - 1).trim();
    if (/\s/.test(sign)) continue;
    if (before === '' && !/[{["\-\dtfn]/.test(sign)) return `invalid character '${sign}' looking for beginning of value`;
    if (before.endsWith('{') && sign !== '"' && sign !== '}') return `invalid character '${sign}' looking for beginning of object key string`;
  }
  return 'unexpected end of JSON input';
}

/** Runs `docker-credential-NAME get`, as the Docker client does. */
async function askHelper(name: string, registry: string, path: string): Promise<Credentials> {
  const program = `docker-credential-${name}`;
  const { code, output } = await new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    const child = spawn(program, ['get'], { env: { PATH: path }, stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    child.once('error', () => reject(new CredentialsError(`error getting credentials - err: exec: "${program}": executable file not found in $PATH, out: \`\``)));
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.once('close', (code) => resolve({ code, output }));
    child.stdin.on('error', () => undefined).end(registry);
  });
  if (code !== 0) throw new CredentialsError(`error getting credentials - err: exit status ${code ?? -1}, out: \`${output.trim()}\``);
  const { Username, Secret } = JSON.parse(output) as { Username: string; Secret: string };
  return { username: Username, password: Secret };
}
