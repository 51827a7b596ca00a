/** Whose rights a request has. Bearer is for tokens of a job or of Microsoft Entra ID, basic for personal access tokens. */
export interface Credentials {
  readonly scheme: 'bearer' | 'basic';
  readonly token: string;
  /** Where the token comes from, for error messages: "the job's access token", "the input 'token'". */
  readonly source: string;
}

/** A token by what it looks like: one of Entra ID is a JSON web token, a personal access token is not. */
export function credentialsOf(token: string, source: string): Credentials {
  return { scheme: /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(token) ? 'bearer' : 'basic', token, source };
}

export function authorizationHeader({ scheme, token }: Credentials): string {
  return scheme === 'bearer' ? `Bearer ${token}` : `Basic ${Buffer.from(`:${token}`).toString('base64')}`;
}
