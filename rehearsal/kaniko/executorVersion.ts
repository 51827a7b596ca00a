/** The releases of the executor that the stand-in follows; where they differ, the code asks for the difference by name. */
export type ExecutorVersion = 'v1.24.0' | 'v1.28.3';

export interface VersionBehaviour {
  version: ExecutorVersion;
  /** osscontainertools' fork: skips unused stages, merges a stage into the one built on it, computes the config beforehand. */
  fork: boolean;
}

/** @throws Error for another version */
export function behaviourOf(version: string): VersionBehaviour {
  if (version !== 'v1.24.0' && version !== 'v1.28.3') throw new Error(`KANIKO_VERSION ${version} is not known: use v1.24.0 or v1.28.3`);
  return { version, fork: version === 'v1.28.3' };
}
