/** The `config` part of an image's configuration; names as in the OCI image specification and Docker's. */
export interface ContainerConfig {
  Cmd?: string[];
  Entrypoint?: string[];
  Env?: string[];
  ExposedPorts?: Record<string, object>;
  Healthcheck?: { Test: string[]; Interval?: number; Timeout?: number; StartPeriod?: number; StartInterval?: number; Retries?: number };
  Labels?: Record<string, string>;
  OnBuild?: string[];
  Shell?: string[];
  StopSignal?: string;
  User?: string;
  Volumes?: Record<string, object>;
  WorkingDir?: string;
}

export interface History {
  created?: string;
  author?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
}

export interface ImageLayer {
  digest: string;
  size: number;
  diffId: string;
  mediaType: string;
  /** Brings it to this machine where it is not here yet. */
  file: () => Promise<string>;
}

export interface Image {
  architecture: string;
  os: string;
  variant?: string;
  config: ContainerConfig;
  history: History[];
  layers: ImageLayer[];
  format: 'docker' | 'oci';
  annotations?: Record<string, string>;
}

export const mediaTypes = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    plainLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
    plainLayer: 'application/vnd.oci.image.layer.v1.tar',
  },
} as const;

/** Go's zero time, which stands for "no time" in history entries and reproducible images. */
export const zeroTime = '0001-01-01T00:00:00Z';
export const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** An image `FROM scratch`. */
export function emptyImage(platform: { os: string; architecture: string; variant?: string }, format: 'docker' | 'oci'): Image {
  return { ...platform, config: { Env: [defaultPath] }, history: [], layers: [], format };
}

/** Its configuration and its manifest as they are pushed. */
export function serialise({ architecture, os, variant, config, history, layers, format, annotations }: Image, created: string): { config: string; manifest: (configDigest: string) => string; mediaType: string } {
  const types = mediaTypes[format];
  const configText = JSON.stringify({
    architecture,
    created,
    history,
    os,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    config,
    ...(variant === undefined ? {} : { variant }),
  });
  const manifest = (configDigest: string): string =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: types.manifest,
      config: { mediaType: types.config, size: Buffer.byteLength(configText), digest: configDigest },
      layers: layers.map(({ mediaType, size, digest }) => ({ mediaType, size, digest })),
      ...(annotations && Object.keys(annotations).length > 0 ? { annotations } : {}),
    });
  return { config: configText, manifest, mediaType: types.manifest };
}
