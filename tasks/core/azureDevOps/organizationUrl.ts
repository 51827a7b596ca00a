/** Where an organization (or an Azure DevOps Server collection) answers. None of the addresses ends with a slash. */
export interface OrganizationUrls {
  /** Builds, pipelines, projects; also the address that people know. */
  readonly core: string;
  /** Classic releases: a host of their own in the cloud. */
  readonly release: string;
}

const CLOUD_HOST = /^(?:vsrm\.)?dev\.azure\.com$/i;
const OLD_CLOUD_HOST = /^([a-z0-9-]+)(?:\.vsrm)?\.visualstudio\.com$/i;

/**
 * The addresses for what users write: `https://dev.azure.com/org`, `https://org.visualstudio.com`, the name of an
 * organization, or the URL of a collection of Azure DevOps Server.
 * @throws RangeError saying what is wrong with the text
 */
export function organizationUrls(text: string): OrganizationUrls {
  const named = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/.test(text) ? `https://dev.azure.com/${text}` : text;
  if (!URL.canParse(named) || !/^https?:$/.test(new URL(named).protocol)) throw new RangeError(`'${text}' is neither an organization's URL nor its name`);
  const url = new URL(named);
  if (url.username || url.password) throw new RangeError('it has credentials in it');
  const path = url.pathname.replace(/\/+$/, '');
  const segments = path.split('/').filter(Boolean);
  if (CLOUD_HOST.test(url.hostname)) {
    if (segments.length !== 1) throw new RangeError(`'${text}' must name the organization and nothing after it`);
    return { core: `https://dev.azure.com/${segments[0]}`, release: `https://vsrm.dev.azure.com/${segments[0]}` };
  }
  const old = OLD_CLOUD_HOST.exec(url.hostname)?.[1];
  if (old !== undefined) {
    // A collection in the path is a left-over of the first years, and still takes part in some agents' variables.
    if (segments.length > 1 || (segments[0] && segments[0].toLowerCase() !== 'defaultcollection')) {
      throw new RangeError(`'${text}' must name the organization and nothing after it`);
    }
    return { core: `https://${old}.visualstudio.com`, release: `https://${old}.vsrm.visualstudio.com` };
  }
  const server = `${url.origin}${path}`;
  return { core: server, release: server };
}

/** Whether two addresses mean the same organization, whichever of the cloud's hosts they name. */
export function sameOrganization(one: OrganizationUrls, other: OrganizationUrls): boolean {
  return identity(one.core) === identity(other.core);
}

function identity(core: string): string {
  const url = new URL(core);
  const old = OLD_CLOUD_HOST.exec(url.hostname)?.[1];
  return (old ? `https://dev.azure.com/${old}` : core).toLowerCase();
}
