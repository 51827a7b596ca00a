import { pathOf, type AzureDevOpsClient } from './client';
import type { Build, BuildDefinition, BuildLog, BuildProperties, BuildRequest, PipelineRun, PipelineRunRequest, Timeline, TimelineRecord } from './restTypes';

/** Builds of one project; runs of YAML pipelines are builds too, with the same ids. */
export class Builds {
  constructor(
    private readonly client: AzureDevOpsClient,
    readonly project: string,
  ) {}

  /** Definitions with this name, without case; in one folder such as `\team` where it is given. */
  definitionsNamed(name: string, folder: string | undefined, signal: AbortSignal): Promise<BuildDefinition[]> {
    return this.client.list<BuildDefinition>({ ...this.get(`find the pipeline '${name}'`, 'definitions'), query: { name, path: folder }, signal });
  }

  /** All definitions, as far as a person would look through them. */
  definitions(signal: AbortSignal): Promise<BuildDefinition[]> {
    return this.client.list<BuildDefinition>({ ...this.get('list the pipelines', 'definitions'), query: { $top: 1000 }, signal }, 2000);
  }

  /** Runs a YAML pipeline. Sent once: see `triggerOnce`. */
  async runPipeline(id: number, request: PipelineRunRequest): Promise<PipelineRun> {
    const path = pathOf(this.project, '_apis', 'pipelines', id, 'runs');
    return (await this.client.json<PipelineRun>({ method: 'POST', host: 'core', path, body: request, what: `run pipeline ${id} of project '${this.project}'` })) ?? {};
  }

  /** Queues a build of a classic definition. Sent once: see `triggerOnce`. */
  async queue(request: BuildRequest): Promise<Build> {
    const path = pathOf(this.project, '_apis', 'build', 'builds');
    const what = `queue a build of definition ${request.definition.id} of project '${this.project}'`;
    return (await this.client.json<Build>({ method: 'POST', host: 'core', path, body: request, what })) ?? {};
  }

  async build(id: number, signal?: AbortSignal): Promise<Build> {
    return (await this.client.json<Build>({ ...this.get(`read run ${id}`, 'builds', id), signal })) ?? {};
  }

  /** Runs of a definition that were queued since, the newest first, with these of their properties. */
  queuedSince(definition: number, since: Date, properties: readonly string[]): Promise<Build[]> {
    const query = { definitions: definition, minTime: since.toISOString(), queryOrder: 'queueTimeDescending', properties: properties.join(','), $top: 100 };
    return this.client.list<Build>({ ...this.get(`look for runs of pipeline ${definition}`, 'builds'), query }, 500);
  }

  /** The build with this build number, of a definition where it is known; of any project. */
  async numbered(project: string, definition: number | undefined, buildNumber: string, signal: AbortSignal): Promise<Build | undefined> {
    const path = pathOf(project, '_apis', 'build', 'builds');
    const query = { definitions: definition, buildNumber, $top: 1 };
    const [build] = await this.client.list<Build>({ method: 'GET', host: 'core', path, query, what: `find the build '${buildNumber}'`, signal }, 1);
    return build;
  }

  /** Properties of a run: texts that no page shows. */
  async properties(id: number): Promise<BuildProperties> {
    return (await this.client.json<{ value?: BuildProperties }>(this.get(`read the properties of run ${id}`, 'builds', id, 'properties')))?.value ?? {};
  }

  async setProperty(id: number, name: string, value: string): Promise<void> {
    const path = pathOf(this.project, '_apis', 'build', 'builds', id, 'properties');
    const body = [{ op: 'add', path: `/${name}`, value }];
    await this.client.json({ method: 'PATCH', host: 'core', path, body, contentType: 'application/json-patch+json', what: `mark run ${id}`, repeatable: true });
  }

  /** Empty for a run that has not started. */
  async timeline(id: number, signal?: AbortSignal): Promise<TimelineRecord[]> {
    return (await this.client.json<Timeline>({ ...this.get(`read the timeline of run ${id}`, 'builds', id, 'timeline'), signal }))?.records ?? [];
  }

  logs(id: number, signal?: AbortSignal): Promise<BuildLog[]> {
    return this.client.list<BuildLog>({ ...this.get(`list the logs of run ${id}`, 'builds', id, 'logs'), signal });
  }

  /** Lines of a log from number `startLine` (the first is 1), as text. */
  async logLines(id: number, logId: number, startLine: number, signal?: AbortSignal): Promise<string[]> {
    const text = await this.client.text({ ...this.get(`read log ${logId} of run ${id}`, 'builds', id, 'logs', logId), query: { startLine }, accept: 'text/plain', signal });
    return logTextLines(text);
  }

  /** Asks for a cancel; a run that has ended stays as it is. */
  async cancel(id: number, signal?: AbortSignal): Promise<void> {
    const path = pathOf(this.project, '_apis', 'build', 'builds', id);
    await this.client.json({ method: 'PATCH', host: 'core', path, body: { status: 'cancelling' }, what: `cancel run ${id}`, repeatable: true, urgent: true, signal });
  }

  private get(what: string, ...parts: (string | number)[]) {
    return { method: 'GET', host: 'core', path: pathOf(this.project, '_apis', 'build', ...parts), what } as const;
  }
}

/** The page of a run. */
export function buildPage(core: string, project: string, id: number): string {
  return `${core}/${encodeURIComponent(project)}/_build/results?buildId=${id}`;
}

/** A log is sent as text, or as a JSON list of lines by servers that do not look at the Accept header. */
export function logTextLines(text: string): string[] {
  if (/^\s*\{"count":\d+,"value":\[/.test(text)) return (JSON.parse(text) as { value: string[] }).value;
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
