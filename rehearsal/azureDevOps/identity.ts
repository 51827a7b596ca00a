import { createHash } from 'node:crypto';

/** A person or service as the service describes it. */
export interface IdentityRef {
  id: string;
  displayName: string;
  uniqueName: string;
  url: string;
  imageUrl: string;
  descriptor: string;
}

/** A stable GUID for a name. */
export function guidFrom(...names: readonly (string | number)[]): string {
  const hex = createHash('sha256').update(names.join('/')).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

/** @param baseUrl - of the collection */
export function identityOf(baseUrl: string, displayName: string): IdentityRef {
  const id = guidFrom('identity', displayName);
  return {
    id,
    displayName,
    uniqueName: `${displayName.toLowerCase().replace(/[^a-z0-9]+/g, '.')}@example.com`,
    url: `${baseUrl}/_apis/Identities/${id}`,
    imageUrl: `${baseUrl}/_apis/GraphProfile/MemberAvatars/${id}`,
    descriptor: `aad.${Buffer.from(id).toString('base64url')}`,
  };
}
