import { join } from 'node:path';
import type { FlagValues } from './commandLine';
import type { Log } from './log';
import { findCredentials, type Credentials } from './registryCredentials';
import { placeOf, type Surroundings } from './surroundings';
import { existsSync } from 'node:fs';

/** Where the executor finds credentials: the Docker configuration of its container. Cloud helpers are named, not run. */
export class RegistryAccounts {
  private readonly file: string;
  private readonly shownAs: string;

  constructor(
    private readonly values: FlagValues,
    private readonly surroundings: Surroundings,
    private readonly log: Log,
  ) {
    const folder = surroundings.env['DOCKER_CONFIG'] ?? '/kaniko/.docker';
    this.shownAs = join(folder, 'config.json');
    this.file = placeOf(surroundings, this.shownAs);
    if (surroundings.root !== '/' && this.shownAs.startsWith(surroundings.root)) this.shownAs = this.shownAs.slice(surroundings.root.length);
  }

  /** The fork says which providers it asks each time it sets out to a registry. */
  announce(): void {
    if (!this.surroundings.behaviour.fork) return;
    const helpers = this.values.given('credential-helpers') ? this.values.list('credential-helpers').filter(Boolean) : ['google', 'ecr', 'acr', 'gitlab'];
    if (helpers.length === 0) this.log.info('all credential helpers disabled');
    const providers = [...(existsSync(this.file) ? [`file:${this.shownAs}`] : []), ...(helpers.length > 0 ? ['env'] : []), ...helpers];
    this.log.info(`credential providers by priority: [${providers.join(', ')}]`);
  }

  /** @throws CredentialsError */
  find(registry: string, repository: string): Promise<Credentials | undefined> {
    return findCredentials(this.file, this.shownAs, registry, repository, { fork: this.surroundings.behaviour.fork, path: this.surroundings.env['PATH'] ?? '' });
  }
}
