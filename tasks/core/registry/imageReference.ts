/** An image reference taken apart: `host:port/repository:tag@digest`. */
export interface ImageReference {
  /** With its port; undefined where the reference leaves it to the node's default registry. */
  readonly registry: string | undefined;
  readonly repository: string;
  readonly tag: string | undefined;
  /** For example `sha256:…`. */
  readonly digest: string | undefined;
}

const DOMAIN = /^(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::\d{1,5})?$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
/** Registry and repository together, a rule of the same grammar. */
const MAX_NAME_LENGTH = 255;

/** Either the parsed reference or, in plain words, why the text is none. */
export type ParsedImageReference = { readonly ok: true; readonly reference: ImageReference } | { readonly ok: false; readonly why: string };

/**
 * Parses an image reference by the grammar of the distribution project, which the container runtimes use. The first
 * component is a registry only if it has a dot or a port or is `localhost`; so `registry:5000/app` has a port, no tag.
 */
export function parseImageReference(text: string): ParsedImageReference {
  const fail = (why: string): ParsedImageReference => ({ ok: false, why });
  if (text === '') return fail('it is empty');
  if (/\s/.test(text)) return fail('it contains white space');
  const unresolved = /\$\([^)]*\)/.exec(text);
  if (unresolved) return fail(`the variable ${unresolved[0]} in it is not defined`);
  if (/^[a-z]+:\/\//i.test(text)) return fail('it starts like a URL; leave out the scheme');

  const [beforeDigest = '', digest, ...rest] = text.split('@');
  if (rest.length > 0) return fail("it has more than one '@'");
  if (digest !== undefined && !DIGEST.test(digest)) return fail(`'${digest}' is not a digest such as sha256:<64 hex digits>`);
  if (digest?.startsWith('sha256:') && !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    return fail('its sha256 digest does not have 64 lower-case hex digits');
  }

  const lastSlash = beforeDigest.lastIndexOf('/');
  const colon = beforeDigest.indexOf(':', lastSlash + 1);
  const tag = colon >= 0 ? beforeDigest.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) return fail(tag === '' ? 'its tag is empty' : `'${tag}' is not a valid tag`);

  const components = (colon >= 0 ? beforeDigest.slice(0, colon) : beforeDigest).split('/');
  const first = components[0] ?? '';
  const hasRegistry = components.length > 1 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  if (hasRegistry && !DOMAIN.test(first)) return fail(`'${first}' is not a valid registry host`);
  const repository = (hasRegistry ? components.slice(1) : components).join('/');
  const wrong = repository.split('/').find((component) => !PATH_COMPONENT.test(component));
  if (wrong !== undefined) {
    if (wrong === '') return fail('its repository has an empty part');
    return fail(wrong === wrong.toLowerCase() ? `'${wrong}' is not a valid repository name` : `repository names are lower case, '${wrong}' is not`);
  }
  if ((hasRegistry ? first.length + 1 : 0) + repository.length > MAX_NAME_LENGTH) return fail(`its name is longer than ${MAX_NAME_LENGTH} characters`);
  return { ok: true, reference: { registry: hasRegistry ? first : undefined, repository, tag, digest } };
}
