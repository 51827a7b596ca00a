import { apiVersionOf, type ResourceType } from '../resources';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** What the API says about itself; undefined for any other path. */
export function discovery(path: string, host: string, all: readonly ResourceType[]): unknown {
  const groups = [...new Set(all.map(({ group }) => group))].filter(Boolean);
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: host }] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map((group) => groupOf(group, all)) };
  if (path === '/version') return version;
  const [, group, apiVersion] = /^\/apis\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (group !== undefined && apiVersion === undefined && groups.includes(group)) return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group, all) };
  const types = all.filter((type) => (path === '/api/v1' ? type.group === '' : type.group === group && type.version === apiVersion));
  const first = types[0];
  return first && { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(first), resources: types.flatMap(described) };
}

function groupOf(group: string, all: readonly ResourceType[]) {
  const versions = [...new Set(all.filter((type) => type.group === group).map(({ version }) => version))].map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions, preferredVersion: versions[0] };
}

function described(type: ResourceType) {
  const own = { singularName: '', namespaced: type.namespaced, kind: type.kind };
  return [
    { name: type.plural, ...own, verbs, ...(type.shortNames && { shortNames: type.shortNames }), ...(type.categories && { categories: type.categories }) },
    ...(type.connects ?? []).map(({ name, kind, verbs: allowed }) => ({ name: `${type.plural}/${name}`, ...own, kind, verbs: allowed })),
    ...(type.scale ? [{ name: `${type.plural}/scale`, ...own, group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['get', 'patch', 'update'] }] : []),
    ...(type.status ? [{ name: `${type.plural}/status`, ...own, verbs: ['get', 'patch', 'update'] }] : []),
  ];
}

/** The version whose behaviour this API follows. */
const version = {
  major: '1',
  minor: '20',
  gitVersion: 'v1.20.2+embedded',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};
