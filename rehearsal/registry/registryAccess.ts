import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { RegistryError } from './registryError';

export type RegistryAction = 'pull' | 'push';

export interface RegistryAccessOptions {
  /** Name → password. Anyone may do everything where left out. */
  users?: Record<string, string>;
  /** How users prove who they are: with each request, or once to the token service at `/token`. Default basic. */
  authentication?: 'basic' | 'bearer';
}

/** Who may do what. Tokens are of the Docker registry token flow: opaque, bound to a repository and actions, valid for minutes. */
export class RegistryAccess {
  private readonly tokens = new Map<string, { scopes: ReadonlySet<string>; expires: number }>();

  constructor(private readonly options: RegistryAccessOptions) {}

  /** @throws RegistryError 401 with the challenge a client needs to go on */
  check(request: IncomingMessage, action: RegistryAction, repository?: string): void {
    const { users, authentication = 'basic' } = this.options;
    if (!users) return;
    if (authentication === 'basic' ? this.isUser(request) : this.holdsToken(request, action, repository)) return;
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:${action === 'push' ? 'pull,push' : 'pull'}"`;
    const challenge = authentication === 'basic' ? 'Basic realm="rehearsal registry"' : `Bearer realm="http://${request.headers.host ?? ''}/token",service="rehearsal registry"${scope}`;
    const actions = action === 'push' ? ['pull', 'push'] : ['pull'];
    const detail = repository === undefined ? undefined : actions.map((name) => ({ Type: 'repository', Class: '', Name: repository, Action: name }));
    throw new RegistryError(401, 'UNAUTHORIZED', 'authentication required', detail, { 'www-authenticate': challenge });
  }

  /**
   * A token for the scopes asked for.
   * @throws RegistryError 401 for a wrong password
   */
  issueToken(request: IncomingMessage, scopes: readonly string[]): { token: string; access_token: string; expires_in: number } {
    if (!this.isUser(request)) throw new RegistryError(401, 'UNAUTHORIZED', 'authentication required', undefined, { 'www-authenticate': 'Basic realm="rehearsal registry"' });
    const granted = scopes.flatMap((scope) => {
      const [, repository = '', actions = ''] = /^repository:(.+):([^:]*)$/.exec(scope) ?? [];
      return actions.split(',').map((action) => `${repository}:${action}`);
    });
    const token = randomBytes(24).toString('base64url');
    this.tokens.set(token, { scopes: new Set(granted), expires: Date.now() + 300_000 });
    return { token, access_token: token, expires_in: 300 };
  }

  private isUser(request: IncomingMessage): boolean {
    const [, encoded = ''] = /^Basic (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
    return name !== undefined && password !== undefined && Object.hasOwn(this.options.users ?? {}, name) && this.options.users?.[name] === password;
  }

  private holdsToken(request: IncomingMessage, action: RegistryAction, repository: string | undefined): boolean {
    const [, value = ''] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const token = this.tokens.get(value);
    if (!token || token.expires < Date.now()) return false;
    return repository === undefined || token.scopes.has(`${repository}:${action}`);
  }
}
