/**
 * Stands in for node-fetch in the bundles. The Kubernetes client's configuration needs little more of it than its
 * Headers, and with it come a quarter of a megabyte of Unicode tables and a deprecation warning on Node 24.
 */
export const { fetch, Headers, Request, Response } = globalThis;
export default fetch;
