import type { KubernetesObject } from '../core/kubernetes/objects';

interface Ingress {
  spec?: { rules?: { host?: string; http?: { paths?: { path?: string }[] } }[]; tls?: { hosts?: string[] }[] };
  status?: { loadBalancer?: LoadBalancer };
}

interface Service {
  spec?: { type?: string; ports?: { port: number; name?: string; appProtocol?: string }[] };
  status?: { loadBalancer?: LoadBalancer };
}

interface LoadBalancer {
  ingress?: { ip?: string; hostname?: string }[];
}

/**
 * Where the environment can be reached: by the first Ingress with a host or an address, else the first Service of type
 * LoadBalancer that has an address.
 * @returns undefined where there is none, or none yet
 */
export function environmentUrl(objects: readonly KubernetesObject[]): string | undefined {
  const urls = [...objects.filter(({ kind }) => kind === 'Ingress').map(ingressUrl), ...objects.filter(({ kind }) => kind === 'Service').map(serviceUrl)];
  return urls.find((url) => url !== undefined);
}

/** Whether a load balancer of these objects may still get an address. */
export function awaitsAddress(objects: readonly KubernetesObject[]): KubernetesObject | undefined {
  return objects.find((object) => object.kind === 'Service' && (object as Service).spec?.type === 'LoadBalancer' && addressOf((object as Service).status?.loadBalancer) === undefined);
}

function ingressUrl(object: KubernetesObject): string | undefined {
  const { spec, status } = object as Ingress;
  const rule = spec?.rules?.find(({ host }) => host !== undefined && !host.startsWith('*')) ?? spec?.rules?.[0];
  const host = rule?.host?.startsWith('*') ? undefined : rule?.host;
  const address = host ?? addressOf(status?.loadBalancer);
  if (address === undefined) return undefined;
  const isSecure = spec?.tls?.some(({ hosts }) => hosts === undefined || hosts.length === 0 || hosts.includes(address)) ?? false;
  const path = rule?.http?.paths?.[0]?.path ?? '/';
  // Many controllers take regular expressions as paths.
  return `${isSecure ? 'https' : 'http'}://${address}${/^\/[\w./-]*$/.test(path) ? path : '/'}`;
}

function serviceUrl(object: KubernetesObject): string | undefined {
  const { spec, status } = object as Service;
  const address = spec?.type === 'LoadBalancer' ? addressOf(status?.loadBalancer) : undefined;
  const [first] = spec?.ports ?? [];
  if (address === undefined || !first) return undefined;
  const port = spec?.ports?.find(({ port: number }) => number === 443) ?? first;
  const isSecure = port.port === 443 || port.name === 'https' || port.appProtocol === 'https';
  const isUsual = port.port === (isSecure ? 443 : 80);
  return `${isSecure ? 'https' : 'http'}://${address}${isUsual ? '' : `:${port.port}`}/`;
}

function addressOf(balancer: LoadBalancer | undefined): string | undefined {
  const [first] = balancer?.ingress ?? [];
  const address = first?.hostname ?? first?.ip;
  return address?.includes(':') ? `[${address}]` : address;
}
