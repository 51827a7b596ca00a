/** What a build may know and nobody else: neither the pod's spec nor the log nor the image's history. */
export interface BuildSecrets {
  readonly buildArgs: readonly { readonly name: string; readonly value: string }[];
  /** For `RUN --mount=type=secret`. */
  readonly mounts: readonly SecretMount[];
}

export interface SecretMount {
  readonly id: string;
  readonly content: Buffer;
}

/** Where the pod sees the content of mounts; the executor keeps its own folder out of images. */
export const SECRETS_FOLDER = '/kaniko/build-secrets';

/** The key in the pod's Secret. */
export function buildArgKey(name: string): string {
  return `build-arg.${name}`;
}

/** The key in the pod's Secret, and the file's name below {@link SECRETS_FOLDER}: ids may have characters that keys may not. */
export function mountKey(index: number): string {
  return `mount.${index}`;
}

/** Arguments that name the secrets and tell nothing of them: values come from the environment and from files. */
export function secretArguments({ buildArgs, mounts }: BuildSecrets, folder = SECRETS_FOLDER): string[] {
  return [
    ...buildArgs.map(({ name }) => `--build-arg=${name}`),
    ...mounts.map(({ id }, index) => `--secret=id=${id},src=${folder}/${mountKey(index)}`),
  ];
}

export function secretBytes({ buildArgs, mounts }: BuildSecrets): number {
  return buildArgs.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0) + mounts.reduce((sum, { content }) => sum + content.length, 0);
}
