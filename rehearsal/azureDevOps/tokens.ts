import { randomBytes } from 'node:crypto';

/** How a wrong or expired token is told: a sign-in page with 203, a redirect to one, or 401. */
export type Refusal = 'signInPage' | 'signInRedirect' | 'unauthorized';

/** What a token's owner may not do. */
export type Denial =
  /** TF215106, 403. */
  | 'queueBuilds'
  /** TF215106, 403: may not mark runs with tags and properties. */
  | 'updateBuildInformation'
  /** TF215106, 403: may not cancel. */
  | 'stopBuilds'
  /** TF401019, 404: the token is limited to other repositories. */
  | 'repository'
  /** TF400813, 401: not a member of the organization, or without the scope. */
  | 'organization'
  /** VS30063, 401. */
  | 'collection'
  /** VS402904, 403. */
  | 'createReleases'
  /** VS402904, 403. */
  | 'manageDeployments'
  /** The project looks as if it did not exist: TF200016, 404. */
  | 'project';

export interface TokenOptions {
  /** Default: a random one. */
  token?: string;
  /** Who it belongs to. */
  owner?: string;
  denies?: readonly Denial[];
}

export interface KnownToken {
  readonly token: string;
  readonly owner: string;
  readonly denies: readonly Denial[];
}

/** The tokens that the services accept: as a password (PAT), or as bearer (System.AccessToken, Entra ID). */
export class Tokens {
  private readonly known = new Map<string, KnownToken>();
  /** Has all rights. */
  readonly full: string;
  refusal: Refusal;

  constructor(refusal: Refusal, owner: string) {
    this.refusal = refusal;
    this.full = this.add({ owner });
  }

  /** @returns the token */
  add({ token = randomBytes(26).toString('hex'), owner = 'Release Guard Build Service', denies = [] }: TokenOptions = {}): string {
    this.known.set(token, { token, owner, denies });
    return token;
  }

  /** From now on it counts as wrong. */
  expire(token: string): void {
    this.known.delete(token);
  }

  /** Whom the header names; undefined where it is missing, malformed, or names nobody. */
  authenticate(authorization: string | undefined): KnownToken | undefined {
    const [scheme = '', credentials = ''] = authorization?.split(/\s+/, 2) ?? [];
    if (scheme.toLowerCase() === 'bearer') return this.known.get(credentials);
    if (scheme.toLowerCase() !== 'basic') return undefined;
    const text = Buffer.from(credentials, 'base64').toString('utf8');
    return this.known.get(text.slice(text.indexOf(':') + 1));
  }
}
