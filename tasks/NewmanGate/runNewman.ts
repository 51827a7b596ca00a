import { UserError } from '../core/agent/userError';
import type { IterationData } from './iterationData';
import type { JsonRecord } from './jsonFile';
import type { NewmanCursor, NewmanEmitter, NewmanError, NewmanEvents, NewmanExecution, NewmanItem, NewmanRun, NewmanSummary } from './newmanEvents';
import type { Redactor } from './redaction';
import type { ItemKey, RequestResult, ResultCollector } from './resultCollector';

export interface NewmanSettings {
  readonly collection: { readonly name: string; readonly definition: JsonRecord };
  readonly environment: { readonly name: string; readonly values: readonly { key: string; value: unknown; type: string }[] };
  readonly iterationData: IterationData | undefined;
  readonly folder: string | undefined;
  /** Files that requests upload are looked up here. */
  readonly workingDirectory: string;
  readonly requestTimeoutMs: number;
  readonly timeoutMs: number;
  readonly insecure: boolean;
  readonly caFile: string | undefined;
  /** Names of variables whose values are secret, also those that scripts give them. */
  readonly secretNames: { readonly environment: readonly string[]; readonly collection: readonly string[] };
}

export interface RunObserver {
  /** A script's console output, one entry per call. */
  console(level: string, text: string): void;
  /** @param share 0 to 1. */
  progress(share: number): void;
  /** Before a request is sent to this address. */
  beforeRequest(url: string): void;
  /** A script has ended; it may have held up everything else for long. */
  afterScript(): void;
}

/** How long a cancelled run may take to hand over; a request on its way would hold it up. */
const ABORT_GRACE_MS = 1000;

/** Errors of these steps reach no listener of their own. */
const otherSteps = ['beforeIteration', 'iteration', 'beforeItem', 'item', 'beforeScript', 'beforePrerequest', 'prerequest', 'beforeRequest', 'beforeTest', 'test'] as const;

/** Loads newman; it takes a third of a second, so it is started before it is needed. */
export async function loadNewman(): Promise<NewmanRun> {
  // On Node 24 newman uses deprecated functions; a warning in each log would help nobody who reads it.
  process.noDeprecation = true;
  const { default: newman } = await import('newman');
  return newman.run as unknown as NewmanRun;
}

/**
 * Runs the collection and tells the collector all of it. Resolves also when the signal ends the run early.
 * @throws UserError where newman cannot start, as for an unreadable CSV file.
 */
export async function runNewman(
  run: NewmanRun,
  settings: NewmanSettings,
  collector: ResultCollector,
  redactor: Redactor,
  observer: RunObserver,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve, reject) => {
    let started = false;
    let abort: () => void = () => undefined;
    const emitter = run(newmanOptions(settings), (error, summary) => {
      signal.removeEventListener('abort', stop);
      if (error && !started) return reject(cannotStart(error, redactor));
      if (error) collector.otherError(runKey(settings.collection.name), 'run', described(error));
      // A script that broke the run off is told after the end of the run.
      setImmediate(() => {
        addUnseenFailures(collector, settings.collection.name, summary);
        collector.finish();
        resolve();
      });
    });
    const stop = () => {
      abort();
      setTimeout(() => {
        collector.finish();
        resolve();
      }, ABORT_GRACE_MS);
    };
    signal.addEventListener('abort', stop, { once: true });
    emitter.on('start', (_error, details) => {
      started = true;
      abort = () => details.run.abort();
      if (signal.aborted) abort();
      dropBodies(emitter);
    });
    observe(emitter, settings, collector, redactor, observer);
  });
}

function newmanOptions(settings: NewmanSettings): Record<string, unknown> {
  return {
    collection: settings.collection.definition,
    environment: settings.environment,
    reporters: [],
    workingDir: settings.workingDirectory,
    timeoutRequest: settings.requestTimeoutMs,
    timeoutScript: settings.timeoutMs,
    insecure: settings.insecure,
    ...(settings.iterationData ? { iterationData: settings.iterationData } : {}),
    ...(settings.folder ? { folder: settings.folder } : {}),
    ...(settings.caFile ? { sslExtraCaCerts: settings.caFile } : {}),
  };
}

function observe(emitter: NewmanEmitter, settings: NewmanSettings, collector: ResultCollector, redactor: Redactor, observer: RunObserver): void {
  const keys = new Map<string, ItemKey>();
  let running = scriptName(undefined);
  const keyOf = (cursor: NewmanCursor, item: NewmanItem | undefined): ItemKey => {
    const known = keys.get(cursor.ref ?? '');
    if (known) return known;
    const fresh = itemKey(cursor, item, settings.collection.name);
    keys.set(fresh.ref, fresh);
    return fresh;
  };

  emitter.on('beforeItem', (_error, { cursor, item }) => collector.begin(keyOf(cursor, item)));
  emitter.on('beforeRequest', (_error, { request }) => request && observer.beforeRequest(request.url.toString(true)));
  emitter.on('request', (error, details) => {
    if (details.request) redactor.observe(details.request.headers.all());
    if (details.response) redactor.observe(details.response.headers.all());
    const nested = details.cursor.scriptId !== undefined || details.item === undefined;
    collector.request(keyOf(details.cursor, details.item), {
      method: details.request?.method ?? '',
      url: details.request?.url.toString(true) ?? '',
      nested,
      answer: answerOf(error, details, keyOf(details.cursor, details.item).template),
    });
  });
  emitter.on('assertion', (error, { cursor, item, assertion, skipped }) =>
    collector.test(keyOf(cursor, item), {
      name: assertion ?? '',
      outcome: error ? described(error) : skipped ? 'skipped' : 'passed',
    }),
  );
  emitter.on('script', (error, { cursor, item, event, execution }) => {
    learnSecrets(redactor, execution?.environment, settings.secretNames.environment);
    learnSecrets(redactor, execution?.collectionVariables, settings.secretNames.collection);
    if (error) collector.scriptError(keyOf(cursor, item), scriptName(event?.listen), described(error), true);
    observer.afterScript();
  });
  emitter.on('beforeScript', (_error, { event }) => (running = scriptName(event?.listen)));
  emitter.on('exception', (_error, { cursor, error }) => {
    if (error) collector.scriptError(keyOf(cursor, undefined), running, described(error), false);
  });
  emitter.on('console', (_error, { level, messages }) => observer.console(level, redactor.redact(messages.map(shown).join(' '))));
  for (const step of otherSteps) {
    emitter.on(step, (error, { cursor, item }: NewmanEvents[typeof step]) => {
      if (error) collector.otherError(keyOf(cursor, item), step, described(error));
    });
  }
  emitter.on('item', (_error, { cursor }) => {
    collector.end(cursor.ref ?? '');
    keys.delete(cursor.ref ?? '');
    const { iteration = 0, position = 0, length = 1, cycles = 1 } = cursor;
    observer.progress((iteration * length + position + 1) / (length * cycles));
  });
}

/**
 * Newman keeps each request and answer until the end, in an array and in a cache that share their entries. An entry
 * is emptied as soon as its item is done; the cache cannot be reached otherwise.
 */
function dropBodies(emitter: NewmanEmitter): void {
  const open = new Map<string, NewmanExecution>();
  emitter.summary.run.executions.push = (...entries: NewmanExecution[]) => {
    for (const entry of entries) open.set(entry.cursor?.ref ?? '', entry);
    return 0;
  };
  emitter.on('item', (_error, { cursor }) => {
    const entry = open.get(cursor.ref ?? '');
    if (!entry) return;
    open.delete(cursor.ref ?? '');
    Object.assign(entry, { request: undefined, response: undefined, item: undefined, assertions: undefined, cursor: undefined });
  });
}

function itemKey(cursor: NewmanCursor, item: NewmanItem | undefined, collection: string): ItemKey {
  const folders: string[] = [];
  item?.forEachParent({ withRoot: false }, (parent) => folders.unshift(parent.name ?? ''));
  const template = item?.request?.url?.toString() ?? '';
  return { ref: cursor.ref ?? '', iteration: (cursor.iteration ?? 0) + 1, name: item?.name ?? collection, folders, template };
}

function runKey(collection: string): ItemKey {
  return { ref: 'run', iteration: 1, name: collection, folders: [], template: '' };
}

function answerOf(error: NewmanError | null, { request, response }: NewmanEvents['request'], template: string): RequestResult['answer'] {
  if (!error && response) return { code: response.code, status: response.status ?? response.reason(), milliseconds: response.responseTime };
  const message = error?.message ?? 'there was no answer';
  // A host is put into small letters on the way, so the name is taken from the collection.
  const sent = decoded(request?.url.toString(true) ?? '').toLowerCase();
  const unresolved = [...template.matchAll(/\{\{[^{}]+\}\}/g)].map(([name]) => name).find((name) => sent.includes(name.toLowerCase()));
  return { error: unresolved === undefined ? message : `${message} (the variable ${unresolved} has no value)` };
}

function decoded(url: string): string {
  return url.replace(/%7B/gi, '{').replace(/%7D/gi, '}');
}

function scriptName(listen: string | undefined): string {
  return listen === undefined ? 'script' : `${listen} script`;
}

function described(error: NewmanError): { type: string; message: string } {
  return { type: error.name ?? 'Error', message: error.message ?? String(error.code ?? 'unknown error') };
}

function learnSecrets(redactor: Redactor, scope: { get(key: string): unknown } | undefined, names: readonly string[]): void {
  for (const name of scope ? names : []) {
    const value = scope?.get(name);
    if (typeof value === 'string') redactor.add(value);
  }
}

/** The run fails where newman counts a failure that no event told. */
function addUnseenFailures(collector: ResultCollector, collection: string, summary: NewmanSummary | undefined): void {
  const unseen = (summary?.run.failures.length ?? 0) - collector.failures;
  if (unseen <= 0) return;
  const last = summary?.run.failures.at(-1)?.error;
  collector.otherError(runKey(collection), 'run', { type: 'Error', message: `newman reports ${unseen} more failures, the last one: ${last?.message ?? 'unknown'}` });
}

function cannotStart(error: Error, redactor: Redactor): UserError {
  return new UserError(`The collection cannot be run: ${redactor.redact(error.message)}`, "Check the inputs 'collection', 'environment', 'iterationData' and 'folder'.", { cause: error });
}

function shown(message: unknown): string {
  if (typeof message === 'string') return message;
  try {
    return JSON.stringify(message) ?? String(message);
  } catch {
    return String(message);
  }
}
