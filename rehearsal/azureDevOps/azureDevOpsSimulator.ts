import { approvalRoutes } from './approvalRoutes';
import { buildRoutes } from './buildRoutes';
import { scaledClock, type SimulatorClock } from './clock';
import { Collection, type QueuedBuild } from './collection';
import { coreRoutes } from './coreRoutes';
import { FaultInjector } from './faults';
import { HttpFront, type Exchange, type RecordedRequest } from './httpFront';
import { pipelineRoutes } from './pipelineRoutes';
import { releaseRoutes } from './releaseRoutes';
import { ReleaseStore, type CreatedRelease } from './releaseStore';
import { RouteTable } from './routing';
import type { BuildScenario, PipelineScenario, ReleaseScenario } from './scenario';
import { Tokens, type Refusal } from './tokens';

export interface AzureDevOpsOptions {
  /** Default: rehearsal. */
  organization?: string;
  /** Default: shop. The first one takes definitions that name none. */
  projects?: readonly string[];
  /** Default: real time. */
  clock?: SimulatorClock;
  /** How a wrong or expired token is told. Default: signInPage. */
  refusal?: Refusal;
  /** Who the token with all rights belongs to. */
  owner?: string;
  /** Most items of a page of any list. Default 1000. */
  pageSize?: number;
  /** The release services on a host of their own, as in the cloud. Default: below the same URL, as on a server. */
  separateReleaseHost?: boolean;
}

/** A run as a test looks at it. */
export interface SimulatedBuild {
  readonly id: number;
  readonly definition: string;
  readonly buildNumber: string;
  readonly branch: string;
  readonly commit: string;
  readonly status: string;
  readonly result: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly requestedBy: string;
  readonly tags: readonly string[];
  /** Settles once the run has ended. */
  readonly ended: Promise<void>;
}

/** A release as a test looks at it. */
export interface SimulatedRelease {
  readonly id: number;
  readonly name: string;
  readonly definition: string;
  readonly status: string;
  readonly description: string;
  readonly variables: Readonly<Record<string, string>>;
  /** By alias. */
  readonly artifacts: Readonly<Record<string, string>>;
  readonly environments: readonly { readonly id: number; readonly name: string; readonly status: string; readonly attempts: number }[];
  /** Those that wait for somebody. */
  readonly pendingApprovals: readonly number[];
}

/** Stands in for the REST services of Azure DevOps (api-version 7.1) on 127.0.0.1. */
export class AzureDevOpsSimulator {
  readonly faults = new FaultInjector();
  readonly requests: RecordedRequest[] = [];
  private readonly exchanges = new Set<(exchange: Exchange) => void>();
  private readonly fronts: HttpFront[] = [];
  private collection!: Collection;
  private store!: ReleaseStore;

  private constructor(
    readonly tokens: Tokens,
    readonly clock: SimulatorClock,
    readonly organization: string,
  ) {}

  static async start(options: AzureDevOpsOptions = {}): Promise<AzureDevOpsSimulator> {
    const { organization = 'rehearsal', projects = ['shop'], clock = scaledClock(), refusal = 'signInPage', owner = 'Release Guard Build Service', pageSize = 1000, separateReleaseHost = false } = options;
    const tokens = new Tokens(refusal, owner);
    const simulator = new AzureDevOpsSimulator(tokens, clock, organization);
    let routes = new RouteTable([]);
    const { faults, requests, exchanges } = simulator;
    const front = async (host: 'main' | 'release' | 'any') => {
      const one = new HttpFront({ organization, host, routes: () => routes, tokens, faults, clock, requests, exchanges });
      simulator.fronts.push(one);
      return `${await one.listen()}/${organization}`;
    };
    const url = await front(separateReleaseHost ? 'main' : 'any');
    const releaseUrl = separateReleaseHost ? await front('release') : url;
    const collection = new Collection(url, releaseUrl, projects, clock, owner, pageSize);
    simulator.collection = collection;
    simulator.store = new ReleaseStore(collection);
    routes = new RouteTable([...[coreRoutes, pipelineRoutes, buildRoutes, approvalRoutes].flatMap((make) => make(collection)), ...releaseRoutes(simulator.store)]);
    return simulator;
  }

  /** Without the organization. */
  get url(): string {
    return this.organizationUrl.slice(0, -this.organization.length - 1);
  }

  get organizationUrl(): string {
    return this.collection.url;
  }

  /** The same as organizationUrl, unless the release services have a host of their own. */
  get releaseUrl(): string {
    return this.collection.releaseUrl;
  }

  /** @returns its id. @throws Error on a scenario that no pipeline could have */
  addPipeline(scenario: PipelineScenario): number {
    return this.collection.addDefinition({ kind: 'yaml', scenario });
  }

  /** @returns its id. @throws Error on a scenario that no definition could have */
  addBuildDefinition(scenario: BuildScenario): number {
    return this.collection.addDefinition({ kind: 'classic', scenario });
  }

  /** @returns its id. @throws Error on a scenario that no definition could have */
  addReleaseDefinition(scenario: ReleaseScenario): number {
    return this.store.addDefinition(scenario);
  }

  /** All releases, oldest first, as they are now. */
  get releases(): SimulatedRelease[] {
    return this.store.releases.map(releaseSnapshot);
  }

  /** All runs, oldest first, as they are now. */
  get builds(): SimulatedBuild[] {
    return this.collection.builds.map(snapshot);
  }

  /** Approvals of YAML stages, oldest first, as they are now. */
  get approvals(): { id: string; runId: number; stage: string; status: string }[] {
    return this.collection.approvals.map(({ id, runId, stage, status }) => ({ id, runId, stage, status }));
  }

  /**
   * Decides as a person would who looks at the web page.
   * @param id - a GUID of a YAML stage's approval, a number of a release's
   * @throws Error where there is no such approval
   */
  approve(id: string | number, decision: 'approved' | 'rejected' = 'approved', comment = ''): void {
    if (typeof id === 'string') {
      const approval = this.collection.approvals.find((one) => one.id === id);
      if (!approval) throw new Error(`There is no approval ${id}.`);
      return approval.update(decision, comment);
    }
    const approval = this.store.releases.flatMap(({ run }) => run.environments.flatMap(({ approvals }) => approvals)).find((one) => one.id === id);
    if (!approval) throw new Error(`There is no approval ${id}.`);
    approval.decision.decide(decision, comment);
  }

  /** Called with each request and its answer, in full. @returns what ends it */
  onExchange(notify: (exchange: Exchange) => void): () => void {
    this.exchanges.add(notify);
    return () => this.exchanges.delete(notify);
  }

  /** Cancels what runs, and closes the ports. */
  async stop(): Promise<void> {
    for (const { run } of this.collection.builds) run.cancel();
    for (const { run } of this.store.releases) run.stop();
    await Promise.all(this.fronts.map((front) => front.close()));
  }
}

/** Starts the services with no definitions. */
export function startAzureDevOps(options?: AzureDevOpsOptions): Promise<AzureDevOpsSimulator> {
  return AzureDevOpsSimulator.start(options);
}

function snapshot({ id, definition, buildNumber, branch, commit, run, variables, parameters, requestedBy, tags }: QueuedBuild): SimulatedBuild {
  return {
    id, buildNumber, branch, commit, parameters, requestedBy,
    definition: definition.scenario.name,
    status: run.status,
    result: run.result,
    variables: Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, value])),
    tags: [...tags],
    ended: run.ended,
  };
}

function releaseSnapshot({ id, name, definition, run, description, variables, artifacts }: CreatedRelease): SimulatedRelease {
  return {
    id, name, description,
    definition: definition.scenario.name,
    status: run.status,
    variables: Object.fromEntries(Object.entries(variables).map(([own, { value }]) => [own, value])),
    artifacts: Object.fromEntries(artifacts.map(({ artifact, id: version }) => [artifact.alias, version])),
    environments: run.environments.map((one) => ({ id: one.id, name: one.scenario.name, status: one.status, attempts: one.attempts.length })),
    pendingApprovals: run.environments.flatMap(({ approvals }) => approvals.filter(({ decision }) => decision.status === 'pending').map((one) => one.id)),
  };
}
