/** The parts of newman's events that are used; its published types describe none of them. */
export interface NewmanCursor {
  readonly ref?: string;
  readonly iteration?: number;
  readonly cycles?: number;
  readonly position?: number;
  readonly length?: number;
  /** Set for what a script does, such as pm.sendRequest. */
  readonly scriptId?: string;
}

export interface NewmanItem {
  readonly name?: string;
  readonly request?: { readonly url?: { toString(): string } };
  forEachParent(options: { withRoot: boolean }, visit: (parent: { readonly name?: string }) => void): void;
}

interface HeaderList {
  all(): { key: string; value: string }[];
}

interface Scope {
  get(key: string): unknown;
}

/** What each kind of event brings besides its error. */
export interface NewmanEvents {
  start: { run: { abort(): void } };
  beforeItem: { cursor: NewmanCursor; item?: NewmanItem };
  item: { cursor: NewmanCursor; item?: NewmanItem };
  beforeRequest: { cursor: NewmanCursor; item?: NewmanItem; request?: { url: { toString(force: boolean): string } } };
  request: {
    cursor: NewmanCursor;
    item?: NewmanItem;
    request?: { method: string; url: { toString(force: boolean): string }; headers: HeaderList };
    response?: { code: number; status?: string; responseTime: number; headers: HeaderList; reason(): string };
  };
  assertion: { cursor: NewmanCursor; item?: NewmanItem; assertion?: string; skipped?: boolean };
  script: {
    cursor: NewmanCursor;
    item?: NewmanItem;
    event?: { listen: string };
    execution?: { environment?: Scope; collectionVariables?: Scope };
  };
  exception: { cursor: NewmanCursor; error?: NewmanError };
  console: { cursor: NewmanCursor; level: string; messages: unknown[] };
  beforeIteration: { cursor: NewmanCursor; item?: NewmanItem };
  iteration: { cursor: NewmanCursor; item?: NewmanItem };
  beforeScript: { cursor: NewmanCursor; item?: NewmanItem; event?: { listen: string } };
  beforePrerequest: { cursor: NewmanCursor; item?: NewmanItem };
  prerequest: { cursor: NewmanCursor; item?: NewmanItem };
  beforeTest: { cursor: NewmanCursor; item?: NewmanItem };
  test: { cursor: NewmanCursor; item?: NewmanItem };
}

export interface NewmanError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
}

export interface NewmanExecution {
  cursor: NewmanCursor | undefined;
  request?: unknown;
  response?: unknown;
  item?: unknown;
  assertions?: unknown;
}

export interface NewmanEmitter {
  on<K extends keyof NewmanEvents>(event: K, listener: (error: NewmanError | null, details: NewmanEvents[K]) => void): this;
  readonly summary: NewmanSummary;
}

export interface NewmanSummary {
  readonly run: { readonly executions: NewmanExecution[]; readonly failures: { readonly error: NewmanError }[] };
}

/** `newman.run` with the options that are used. */
export type NewmanRun = (
  options: Record<string, unknown>,
  done: (error: Error | null, summary: NewmanSummary | undefined) => void,
) => NewmanEmitter;
