/** A platform by the terms of the OCI image specification; Kaniko builds for Linux alone. */
export interface Platform {
  readonly os: 'linux';
  readonly architecture: string;
  /** For example `v7` of `arm`. */
  readonly variant: string | undefined;
}

/** Parses `linux/amd64` or `linux/arm/v7`; otherwise tells why the text is no platform. */
export function parsePlatform(text: string): Platform | { readonly why: string } {
  const [os = '', architecture = '', variant, ...rest] = text.trim().toLowerCase().split('/');
  if (rest.length > 0 || !/^[a-z0-9]+$/.test(architecture) || (variant !== undefined && !/^[a-z0-9.]+$/.test(variant))) return { why: `'${text}' is not a platform` };
  if (os !== 'linux') return { why: `'${text}' is not a platform of Linux, the only one that Kaniko builds for` };
  return { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/');
}

/** The nodes that run a platform's programs, by the labels that every kubelet sets. */
export function platformNodes({ os, architecture }: Platform): Record<string, string> {
  return { 'kubernetes.io/os': os, 'kubernetes.io/arch': architecture };
}

/** The tag of one platform's image beside that of the index: `1.2-arm64`. */
export function platformTag(tag: string, { architecture, variant }: Platform): string {
  const suffix = [architecture, variant].filter(Boolean).join('-');
  return `${tag.slice(0, 127 - suffix.length)}-${suffix}`;
}
