import { pathOf, type AzureDevOpsClient } from './client';
import { logTextLines } from './builds';
import type { EnvironmentStatus, Release, ReleaseDefinition, ReleaseRequest } from './restTypes';

/** Classic releases of one project. */
export class Releases {
  constructor(
    private readonly client: AzureDevOpsClient,
    readonly project: string,
  ) {}

  /** Definitions with this name, without case; in one folder such as `\team` where it is given. */
  definitionsNamed(name: string, folder: string | undefined, signal: AbortSignal): Promise<ReleaseDefinition[]> {
    const query = { searchText: name, isExactNameMatch: true, path: folder };
    return this.client.list<ReleaseDefinition>({ ...this.get(`find the release pipeline '${name}'`, 'definitions'), query, signal });
  }

  definitions(signal: AbortSignal): Promise<ReleaseDefinition[]> {
    return this.client.list<ReleaseDefinition>({ ...this.get('list the release pipelines', 'definitions'), query: { $top: 1000 }, signal }, 2000);
  }

  /** With stages and artifacts, which lists leave out. */
  async definition(id: number, signal: AbortSignal): Promise<ReleaseDefinition> {
    return (await this.client.json<ReleaseDefinition>({ ...this.get(`read release pipeline ${id}`, 'definitions', id), signal })) ?? {};
  }

  /** Sent once: see `triggerOnce`. */
  async create(request: ReleaseRequest): Promise<Release> {
    const path = pathOf(this.project, '_apis', 'release', 'releases');
    const what = `create a release of definition ${request.definitionId} of project '${this.project}'`;
    return (await this.client.json<Release>({ method: 'POST', host: 'release', path, body: request, what })) ?? {};
  }

  async release(id: number, signal?: AbortSignal, expand?: 'tasks'): Promise<Release> {
    return (await this.client.json<Release>({ ...this.get(`read release ${id}`, 'releases', id), query: { $expand: expand }, signal })) ?? {};
  }

  /** Releases of a definition that were created since, the newest first, without their stages. */
  createdSince(definition: number, since: Date): Promise<Release[]> {
    const query = { definitionId: definition, minCreatedTime: since.toISOString(), queryOrder: 'descending', $top: 100 };
    return this.client.list<Release>({ ...this.get(`look for releases of definition ${definition}`, 'releases'), query }, 500);
  }

  /** Starts (`inProgress`) or cancels a stage. Asking twice does no harm. */
  async setEnvironment(release: number, environment: number, status: Extract<EnvironmentStatus, 'inProgress' | 'canceled'>, comment: string, signal?: AbortSignal): Promise<void> {
    const path = pathOf(this.project, '_apis', 'release', 'releases', release, 'environments', environment);
    const what = `${status === 'canceled' ? 'cancel' : 'start'} stage ${environment} of release ${release}`;
    await this.client.json({ method: 'PATCH', host: 'release', path, body: { status, comment }, what, repeatable: true, urgent: status === 'canceled', signal });
  }

  /** After it no stage can start any more. */
  async abandon(release: number, comment: string, signal?: AbortSignal): Promise<void> {
    const path = pathOf(this.project, '_apis', 'release', 'releases', release);
    await this.client.json({ method: 'PATCH', host: 'release', path, body: { status: 'abandoned', comment }, what: `abandon release ${release}`, repeatable: true, urgent: true, signal });
  }

  /** Lines of a task's log from number `startLine` (the first is 1). */
  async taskLog(place: { release: number; environment: number; phase: number; task: number }, startLine: number, signal?: AbortSignal): Promise<string[]> {
    const parts = ['releases', place.release, 'environments', place.environment, 'deployPhases', place.phase, 'tasks', place.task, 'logs'];
    const text = await this.client.text({ ...this.get(`read a log of release ${place.release}`, ...parts), query: { startLine }, accept: 'text/plain', signal });
    return logTextLines(text);
  }

  private get(what: string, ...parts: (string | number)[]) {
    return { method: 'GET', host: 'release', path: pathOf(this.project, '_apis', 'release', ...parts), what } as const;
  }
}

/** The page of a release. */
export function releasePage(core: string, project: string, id: number): string {
  return `${core}/${encodeURIComponent(project)}/_releaseProgress?_a=release-pipeline-progress&releaseId=${id}`;
}
