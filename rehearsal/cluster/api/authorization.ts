import { ApiError, forbidden } from '../apiStatus';
import type { ResourceType } from '../resources';

/** As a rule of a Role: what may be done. `*` stands for everything. */
export interface PolicyRule {
  /** Namespaces the rule holds in, as if bound there by a RoleBinding; everywhere where left out. */
  namespaces?: string[];
  apiGroups: string[];
  /** `pods`, `pods/log`, … */
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** Who a bearer token stands for. */
export interface TokenUser {
  token: string;
  user: string;
  /** What the user may do; everything where left out. */
  rules?: PolicyRule[];
}

export interface RequestedAccess {
  verb: string;
  type: ResourceType;
  namespace: string;
  name: string;
  subresource: string;
}

export const anonymous: TokenUser = { token: '', user: 'system:anonymous', rules: [] };

/** @throws 401 for a token that is not known; requests without any are anonymous, as in a real cluster */
export function authenticated(authorization: string | undefined, users: readonly TokenUser[]): TokenUser {
  const token = /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) return anonymous;
  const user = users.find((candidate) => candidate.token === token);
  if (!user) throw unauthorized();
  return user;
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

/** @throws 403 in the API server's words */
export function authorize({ user, rules }: TokenUser, access: RequestedAccess): void {
  if (!rules || rules.some((rule) => allows(rule, access))) return;
  const { verb, type, namespace, name, subresource } = access;
  const resource = subresource ? `${type.plural}/${subresource}` : type.plural;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  throw forbidden(type, name, `User "${user}" cannot ${verb} resource "${resource}" in API group "${type.group}" ${scope}`);
}

/** @throws 403 for a path that is no resource, where the user has only rules for resources */
export function authorizePath({ user, rules }: TokenUser, verb: string, path: string): void {
  if (!rules || user !== anonymous.user || ['/healthz', '/readyz', '/livez', '/version'].includes(path)) return;
  throw new ApiError(403, 'Forbidden', `forbidden: User "${user}" cannot ${verb} path "${path}"`, {});
}

function allows(rule: PolicyRule, { verb, type, namespace, name, subresource }: RequestedAccess): boolean {
  const has = (list: readonly string[], value: string): boolean => list.includes('*') || list.includes(value);
  return (
    (!rule.namespaces || rule.namespaces.includes(namespace)) &&
    has(rule.apiGroups, type.group) &&
    has(rule.resources, subresource ? `${type.plural}/${subresource}` : type.plural) &&
    (!rule.resourceNames || rule.resourceNames.includes(name)) &&
    has(rule.verbs, verb)
  );
}
