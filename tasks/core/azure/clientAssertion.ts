import { constants, createHash, createPrivateKey, randomUUID, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { UserError } from '../agent/userError';

/** A service principal's certificate with its private key. */
export interface ClientCertificate {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

const CREATE_ANEW = 'Paste the PEM with the certificate and its private key, as `az ad sp create-for-rbac --create-cert` writes it, into the connection again.';

/** Reads the PEM of a service connection: a certificate and its RSA key, in any order. Line breaks may have been lost. */
export function certificateOf(pem: string, from: string): ClientCertificate {
  const certificateText = block(pem, 'CERTIFICATE');
  const keyText = block(pem, '(?:RSA |ENCRYPTED )?PRIVATE KEY');
  const refuse = (why: string, cause?: unknown) => new UserError(`The certificate of ${from} cannot be used: ${why}`, CREATE_ANEW, { cause });
  if (!certificateText) throw refuse('it has no CERTIFICATE block');
  if (!keyText) throw refuse('it has no PRIVATE KEY block');
  if (/ENCRYPTED/.test(keyText)) throw refuse('its private key has a passphrase');
  let read: ClientCertificate;
  try {
    read = { certificate: new X509Certificate(certificateText), key: createPrivateKey(keyText) };
  } catch (error) {
    throw refuse('its PEM text is damaged', error);
  }
  if (read.key.asymmetricKeyType !== 'rsa') throw refuse('its key is not an RSA key');
  if (!read.certificate.checkPrivateKey(read.key)) throw refuse('its private key belongs to another certificate');
  return read;
}

/** Beyond that the assertion is of no use to anybody who finds it. */
const LIFETIME_S = 600;
/** The agent's clock may be ahead. */
const ALLOWED_SKEW_S = 60;

/**
 * The signed token by which a service principal proves that it has the key of a certificate: PS256 with the SHA-256
 * thumbprint, as the Microsoft identity platform asks for ("certificate credentials").
 * @param audience the token endpoint
 * @param now in milliseconds
 */
export function clientAssertion({ certificate, key }: ClientCertificate, clientId: string, audience: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  const header = { alg: 'PS256', typ: 'JWT', 'x5t#S256': createHash('sha256').update(certificate.raw).digest('base64url') };
  const claims = { aud: audience, iss: clientId, sub: clientId, jti: randomUUID(), nbf: seconds - ALLOWED_SKEW_S, iat: seconds, exp: seconds + LIFETIME_S };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(signed), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
  return `${signed}.${signature.toString('base64url')}`;
}

function block(pem: string, label: string): string | undefined {
  const found = new RegExp(`-----BEGIN (${label})-----([\\s\\S]+?)-----END \\1-----`).exec(pem);
  const [, name, body] = found ?? [];
  if (!name || !body) return undefined;
  const lines = body.replace(/\\n|\s/g, '').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${name}-----`, ...lines, `-----END ${name}-----`, ''].join('\n');
}
