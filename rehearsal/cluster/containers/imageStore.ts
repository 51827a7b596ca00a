import { createHash } from 'node:crypto';

/** The part of an image's configuration that running it needs; names as in the OCI image specification. */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  /** `NAME=value` */
  Env?: string[];
  WorkingDir?: string;
  User?: string;
  ExposedPorts?: Record<string, object>;
}

export interface ContainerImage {
  /** Absolute path of the folder that stands for the image's file system. */
  rootfs: string;
  config: ImageConfig;
  /** `sha256:…` */
  digest: string;
}

/** Where the node gets its images from. */
export interface ImageStore {
  /** Images that are on the node already: nothing to pull, so that policy Never finds them. */
  readonly local: boolean;
  /** @throws what a pull from there failed with; undefined means "not found" */
  resolve(reference: string): ContainerImage | undefined | Promise<ContainerImage | undefined>;
}

export interface FolderImageStore extends ImageStore {
  /** Registers a folder as an image, under a reference such as `registry.example/app:1`. */
  add(reference: string, image: { rootfs: string; config: ImageConfig }): void;
}

/** Images out of folders, registered in code. */
export function folderImageStore(): FolderImageStore {
  const images = new Map<string, ContainerImage>();
  return {
    local: true,
    add(reference, { rootfs, config }) {
      const name = parseReference(reference);
      if (!name) throw new Error(`${reference} is no image reference`);
      const digest = `sha256:${createHash('sha256').update(JSON.stringify([rootfs, config])).digest('hex')}`;
      images.set(name, { rootfs, config, digest });
    },
    resolve(reference) {
      return images.get(parseReference(reference) ?? '');
    },
  };
}

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const domain = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?';
const grammar = new RegExp(`^((?:${domain}/)?${component}(?:/${component})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[+.-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`);

/** The full form of a reference, as containerd writes it (`busybox` → `docker.io/library/busybox:latest`); undefined where it is none. */
export function parseReference(reference: string): string | undefined {
  const [, name, tag, digest] = grammar.exec(reference) ?? [];
  if (name === undefined) return undefined;
  const first = name.split('/')[0] ?? '';
  const hasDomain = name.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  const full = hasDomain ? name : `docker.io/${name.includes('/') ? name : `library/${name}`}`;
  return `${full}${digest ? (tag ? `:${tag}` : '') : `:${tag ?? 'latest'}`}${digest ? `@${digest}` : ''}`;
}
