/** Where an image goes: one name with all its tags. */
export interface Destination {
  /** As in a login: `docker.io` where the name has none. */
  readonly registry: string;
  readonly repository: string;
  /** Registry and repository as the user wrote them, completed by the connection's registry. */
  readonly name: string;
  readonly tags: readonly string[];
}

/** Every reference that is pushed: `name:tag`. */
export function references(destinations: readonly Destination[]): string[] {
  return destinations.flatMap(({ name, tags }) => tags.map((tag) => `${name}:${tag}`));
}
