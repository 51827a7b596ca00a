/**
 * Stands in for node-fetch in the bundles. The Kubernetes client's configuration needs little more of it than its
 * Headers, and with it come a quarter of a megabyte of Unicode tables and a deprecation warning on Node 24. Each is looked
 * up when it is used: Node loads its own fetch at the first look, which takes as long as the rest of the client.
 */
export const fetch = (...args: Parameters<typeof globalThis.fetch>): Promise<globalThis.Response> => globalThis.fetch(...args);
export default fetch;

export function Headers(...args: ConstructorParameters<typeof globalThis.Headers>): globalThis.Headers {
  return new globalThis.Headers(...args);
}

export function Request(...args: ConstructorParameters<typeof globalThis.Request>): globalThis.Request {
  return new globalThis.Request(...args);
}

export function Response(...args: ConstructorParameters<typeof globalThis.Response>): globalThis.Response {
  return new globalThis.Response(...args);
}
