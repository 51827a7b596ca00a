import { constants, generateKeyPairSync, sign, verify, type KeyObject, type KeyPairKeyObjectResult } from 'node:crypto';

export interface WebToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Makes tokens that others can check, as an issuer of OpenID Connect does. */
export class TokenIssuer {
  private made: KeyPairKeyObjectResult | undefined;

  /** @param url what stands in the claim `iss` */
  constructor(readonly url: string) {}

  issue(claims: Readonly<Record<string, unknown>>): string {
    const signed = [{ alg: 'RS256', typ: 'JWT', kid: '1' }, { iss: this.url, ...claims }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${signed}.${sign('sha256', Buffer.from(signed), this.keys.privateKey).toString('base64url')}`;
  }

  signed(token: string): boolean {
    return hasSignature(token, 'RS256', this.keys.publicKey);
  }

  /** Made when they are first needed: it takes a while. */
  private get keys(): KeyPairKeyObjectResult {
    return (this.made ??= generateKeyPairSync('rsa', { modulusLength: 2048 }));
  }
}

/** Header and claims, unchecked; undefined where the text is no token. */
export function readToken(token: string): WebToken | undefined {
  const [header, claims, signature] = token.split('.');
  if (!header || !claims || !signature) return undefined;
  try {
    const [readHeader, readClaims] = [header, claims].map((part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>);
    return readHeader && readClaims ? { header: readHeader, claims: readClaims } : undefined;
  } catch {
    return undefined;
  }
}

export function hasSignature(token: string, algorithm: 'RS256' | 'PS256', key: KeyObject): boolean {
  const at = token.lastIndexOf('.');
  const padding = algorithm === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {};
  return readToken(token)?.header['alg'] === algorithm && verify('sha256', Buffer.from(token.slice(0, at)), { key, ...padding }, Buffer.from(token.slice(at + 1), 'base64url'));
}
