import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StandInCall } from '../../agent/taskManifest';
import type { ServiceConnection } from '../../agent/serviceConnection';
import { loggingCommand } from './command';

interface DockerConfig {
  readonly auths: Readonly<Record<string, { readonly auth: string }>>;
}

/** Docker@2 with `login` and `logout`: it writes a Docker configuration of its own and points DOCKER_CONFIG to it. */
export async function dockerLogin({ input, variable, connections, print }: StandInCall): Promise<void> {
  const command = input('command').toLowerCase();
  if (command !== 'login' && command !== 'logout') {
    throw new Error(`Docker@2 knows login and logout in a rehearsal, not '${command}': there is no Docker. Use KanikoBuild@1 to build.`);
  }
  const [connection] = connections;
  if (!connection) throw new Error(`Docker@2 needs the input 'containerRegistry' for ${command}.`);
  const registry = registryOf(connection);
  const folder = variable('DOCKER_CONFIG') || join(variable('Agent.TempDirectory') ?? '', `docker_${String(Date.now())}`);
  const auths = { ...(await authsIn(folder)) };
  if (command === 'login') {
    const { username = '', password = '' } = connection.authorization;
    const auth = Buffer.from(`${username}:${password}`).toString('base64');
    print(loggingCommand('task.setsecret', {}, auth));
    await writeConfig(folder, { auths: { ...auths, [registry]: { auth } } });
    print(loggingCommand('task.setvariable', { variable: 'DOCKER_CONFIG' }, folder));
    print(`Logged in to ${registry}.`);
    return;
  }
  delete auths[registry];
  if (Object.keys(auths).length > 0) {
    await writeConfig(folder, { auths });
  } else {
    await rm(folder, { recursive: true, force: true });
    print(loggingCommand('task.setvariable', { variable: 'DOCKER_CONFIG' }, ''));
  }
  print(`Logged out of ${registry}.`);
}

function registryOf({ authorization, url, name }: ServiceConnection): string {
  const registry = authorization['registry'] ?? url;
  if (registry === '') throw new Error(`The connection '${name}' names no registry.`);
  return registry;
}

async function authsIn(folder: string): Promise<DockerConfig['auths']> {
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '{"auths": {}}');
  return (JSON.parse(text) as DockerConfig).auths;
}

async function writeConfig(folder: string, config: DockerConfig): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config), { mode: 0o600 });
}
