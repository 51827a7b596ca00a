import type { Collection, Project } from './collection';
import { guidFrom } from './identity';
import { list, page, type Route } from './routing';

export function projectReference({ url, now }: { url: string; now: () => number }, { id, name }: Project): Record<string, unknown> {
  return {
    id, name,
    url: `${url}/_apis/projects/${id}`,
    state: 'wellFormed',
    revision: 11,
    visibility: 'private',
    lastUpdateTime: new Date(now()).toISOString(),
  };
}

/** Projects, and who the caller is. */
export function coreRoutes(collection: Collection): Route[] {
  const reference = (project: Project) => projectReference({ url: collection.url, now: () => collection.now() }, project);
  return [
    {
      method: 'GET', path: '_apis/projects', host: 'main', preview: false,
      answer: ({ query, user }) => {
        const { items, next } = page(user.denies.includes('project') ? [] : collection.projects, query, collection.pageSize);
        return list(items.map(reference), next);
      },
    },
    {
      method: 'GET', path: '_apis/projects/{project}', host: 'main', preview: false,
      answer: ({ params, user }) => {
        const project = collection.project(params.project ?? '', user);
        const self = `${collection.url}/_apis/projects/${project.id}`;
        return {
          json: {
            ...reference(project),
            _links: { self: { href: self }, collection: { href: `${collection.url}/_apis/projectCollections` }, web: { href: `${collection.url}/${encodeURIComponent(project.name)}` } },
            defaultTeam: { id: guidFrom('team', project.name), name: `${project.name} Team`, url: `${self}/teams/${guidFrom('team', project.name)}` },
          },
        };
      },
    },
    {
      method: 'GET', path: '_apis/connectionData', host: 'main', preview: true,
      answer: ({ user }) => {
        const { id, displayName, descriptor } = collection.identity(user.owner);
        const identity = { id, descriptor, subjectDescriptor: descriptor, providerDisplayName: displayName, isActive: true, properties: {}, resourceVersion: 2, metaTypeId: 0 };
        return {
          json: {
            authenticatedUser: identity,
            authorizedUser: identity,
            instanceId: guidFrom('instance', collection.url),
            deploymentId: guidFrom('deployment'),
            deploymentType: 'onPremises',
            locationServiceData: { serviceOwner: guidFrom('service owner'), defaultAccessMappingMoniker: 'PublicAccessMapping', lastChangeId: 1, lastChangeId64: 1 },
          },
        };
      },
    },
  ];
}
