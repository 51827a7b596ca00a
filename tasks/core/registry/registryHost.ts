import { isIP } from 'node:net';

const DOCKER_HUB_HOSTS = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io', 'hub.docker.com']);

/** Host and port of an address as a login or an image's name gives it; Docker Hub's many names become `docker.io`. */
export function registryHost(address: string | undefined): string {
  const host = (address ?? '').trim().replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '').toLowerCase();
  return DOCKER_HUB_HOSTS.has(host) ? 'docker.io' : host;
}

/** Whether an address means the machine itself, so that a pod and the agent call different registries by it. */
export function isLoopback(host: string): boolean {
  const name = nameOf(host);
  return name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Whether plain HTTP may be tried, by the rule of the executor's own library: nobody can listen in on these. */
export function mayUsePlainHttp(host: string): boolean {
  const name = nameOf(host);
  return isLoopback(host) || name.endsWith('.local') || (isIP(name) === 4 && /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/.test(name));
}

function nameOf(host: string): string {
  return host.replace(/:\d+$/, '');
}
