import type { TaskOutcome } from '../../../../tasks/core/agent/agent';
import { settle } from '../../../../tasks/core/agent/runTask';
import { UserError } from '../../../../tasks/core/agent/userError';
import { KubernetesClient } from '../../../../tasks/core/kubernetes/client';
import type { Deployment, Lease, Secret } from '../../../../tasks/core/kubernetes/objects';
import type { Transport } from '../../../../tasks/core/kubernetes/transport';
import { deploy } from '../../../../tasks/DeployWithRollbackGuard/deploy';
import { finishJob } from '../../../../tasks/DeployWithRollbackGuard/finishRelease';
import { GuardedRelease } from '../../../../tasks/DeployWithRollbackGuard/guardedRelease';
import type { DeployInputs, GuardInputs, OnUnverified, RollbackOn, VerifiedBy } from '../../../../tasks/DeployWithRollbackGuard/inputs';
import { recordsFromSecrets, type ReleaseRecord } from '../../../../tasks/DeployWithRollbackGuard/releaseRecord';
import { returnTo } from '../../../../tasks/DeployWithRollbackGuard/returnTo';
import { confirmRun, rollBackRun } from '../../../../tasks/DeployWithRollbackGuard/settleRelease';
import { RecordingAgent } from '../../../core/agent/recordingAgent';
import type { Change, Stored } from './modelCluster';
import { imageOf, templateOf, type ImageFate } from './modelRollout';
import { SeededRandom } from './seededRandom';
import type { VirtualTime } from './virtualTime';
import { Link, World } from './world';

/** After SIGINT a task has this long to end by itself. */
const CANCEL_GRACE_MS = 6_000;
const FIRST_IMAGE = 'app:0-good';
const WORKLOAD = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };

type JobStatus = 'Succeeded' | 'SucceededWithIssues' | 'Failed' | 'Canceled';
type End = TaskOutcome['result'] | 'killed';

/** What a pipeline run is going to do and to meet. */
export interface RunPlan {
  readonly id: string;
  readonly image: string;
  readonly rollbackOn: RollbackOn;
  readonly verifiedBy: VerifiedBy;
  readonly onUnverified: OnUnverified;
  readonly lockTimeoutMs: number;
  readonly gate: 'passes' | 'hasIssues' | 'fails';
  readonly gateMs: number;
  readonly retries: number;
  /** What goes wrong, and how many steps of the schedule after the begin of what it hits. */
  readonly mishap: 'none' | 'cancel' | 'killMain' | 'killMainUnnoticed' | 'killPostJob' | 'crash';
  readonly mishapAfter: number;
  /** What another stage does after the job. */
  readonly afterwards: 'nothing' | 'confirm' | 'rollback' | 'previous';
}

/** What somebody besides the pipelines does to the Deployment, and after how many steps of the schedule. */
interface Visit {
  readonly after: number;
  readonly kind: 'scale' | 'undo' | 'set';
  readonly replicas: number;
  readonly image: string;
}

/** Who takes part, and what they are going to do; when they come to it is up to the schedule. */
export interface Script {
  readonly replicas: number;
  /** How likely each request meets a fault. */
  readonly faults: number;
  readonly runs: readonly { readonly after: number; readonly plan: RunPlan }[];
  readonly visits: readonly Visit[];
  /** What becomes of the image of the last, undisturbed run. */
  readonly last: ImageFate;
}

const USUAL: Omit<RunPlan, 'id' | 'image'> = {
  rollbackOn: 'jobFailure',
  verifiedBy: 'job',
  onUnverified: 'wait',
  lockTimeoutMs: 600_000,
  gate: 'passes',
  gateMs: 0,
  retries: 0,
  mishap: 'none',
  mishapAfter: 0,
  afterwards: 'nothing',
};

/** A run as most are, but for what is said. */
export function plannedRun(id: string, image: string, more: Partial<RunPlan> = {}): RunPlan {
  return { ...USUAL, id, image, ...more };
}

function drawPlan(random: SeededRandom, id: string): RunPlan {
  const fate: ImageFate = random.of('good', 'good', 'good', 'good', 'missing', 'crashes', 'hangs');
  const own = `app:${id}-${fate}`;
  return {
    id,
    image: random.of(own, own, own, own, `app:shared-${fate}`, FIRST_IMAGE),
    rollbackOn: random.of('jobFailure', 'jobFailure', 'jobFailure', 'jobIssues', 'rolloutFailure', 'never'),
    verifiedBy: random.of('job', 'job', 'confirm'),
    onUnverified: random.of('wait', 'wait', 'takeOver', 'fail'),
    lockTimeoutMs: random.of(60_000, 600_000, 600_000),
    gate: random.of('passes', 'passes', 'hasIssues', 'fails', 'fails'),
    gateMs: random.of(0, 5_000, 100_000, 700_000),
    retries: random.of(0, 0, 1),
    mishap: random.of('none', 'none', 'none', 'cancel', 'killMain', 'killMainUnnoticed', 'killPostJob', 'crash'),
    mishapAfter: random.below(60),
    afterwards: random.of('nothing', 'nothing', 'nothing', 'confirm', 'rollback', 'rollback', 'previous'),
  };
}

function drawScript(random: SeededRandom): Script {
  const ids = random.of(['A'], ['A', 'B'], ['A', 'B'], ['A', 'B', 'C']);
  const visits = Array.from({ length: random.of(0, 0, 1, 1, 2) }, (_, index): Visit => ({
    after: random.below(250),
    kind: random.of('scale', 'scale', 'undo', 'undo', 'set'),
    replicas: random.of(1, 2, 3),
    image: `app:hand${index}-${random.of('good', 'good', 'missing')}`,
  }));
  return {
    replicas: random.of(1, 1, 2, 3),
    faults: random.of(0, 0, 0, 0.02, 0.08),
    runs: ids.map((id, index) => ({ after: index === 0 ? 0 : random.below(150), plan: drawPlan(random, id) })),
    visits,
    last: random.of('good', 'good', 'missing'),
  };
}

/** Who gave the Deployment its image. */
interface ImageChange {
  readonly image: string;
  /** `person`, or the run's id. */
  readonly by: string;
  readonly isForward: boolean;
  /** The record of a deploy of what ran already. */
  readonly repeatedBy?: string;
  /** Whose it was before that. */
  readonly over?: ImageChange | undefined;
}

interface RecordSeen {
  readonly name: string;
  readonly record: ReleaseRecord;
  state: string;
}

class Run {
  readonly memory: Record<string, string> = {};
  /** The process of the job that works now. */
  current: { kill: () => void; cancel: () => void } | undefined;
  isCanceled = false;
  isCrashed = false;
  status: JobStatus | undefined;
  reported = false;
  begun = 0;

  constructor(readonly plan: RunPlan) {}
}

/** An agent whose process may be killed: then nothing it says is heard. */
class ModelAgent extends RecordingAgent {
  constructor(
    private readonly link: Link,
    variables: Record<string, string>,
    private readonly memory: Record<string, string>,
    private readonly world: World,
  ) {
    super({ variables });
  }

  override info(): void {
    return;
  }
  override section(): void {
    return;
  }
  override group(): void {
    return;
  }
  override progress(): void {
    return;
  }
  override warning(text: string): void {
    if (!this.link.isCut) this.world.say(`${this.link.name} warns: ${text}`);
  }
  override setTaskVariable(name: string, value: string): void {
    if (!this.link.isCut) this.memory[name] = value;
  }
  override taskVariable(name: string): string | undefined {
    return this.memory[name];
  }
}

export interface InterleavingEnd {
  readonly violation: string | undefined;
  readonly trace: readonly string[];
  readonly steps: number;
  /** How the processes ended, for a picture of what was met. */
  readonly messages: readonly string[];
}

/**
 * One interleaving of guarded deploys of `deployment/web` with each other, with people, an autoscaler and mishaps, and
 * what has to hold in each of them:
 *
 * 1. No version is put back that was neither verified nor chosen by a person.
 * 2. Nothing is undone that another run or a person put there.
 * 3. A run whose job ended badly leaves nothing of its own running once its post-job process has come to its end.
 * 4. Then its releases are decided, and no process that came to its end still holds the lock; only its holder deploys.
 * 5. A deploy that nobody disturbs does what it should: it is verified, or rolled back.
 *
 * @param script who takes part; drawn by the seed too, where it is left out
 */
export async function interleave(seed: number, time: VirtualTime, options: { readonly script?: Script; readonly traced?: boolean } = {}): Promise<InterleavingEnd> {
  const random = new SeededRandom(seed);
  time.begin(random);
  const interleaving = new Interleaving(random, time, options.script ?? drawScript(random), options.traced ?? false);
  const violation = await interleaving.run().catch((error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)));
  return { violation: violation ?? undefined, trace: interleaving.world.trace, steps: interleaving.world.step, messages: interleaving.messages };
}

class Interleaving {
  readonly world: World;
  readonly messages: string[] = [];
  private readonly runs: Run[] = [];
  private changes: readonly ImageChange[] = [];
  private readonly records = new Map<string, RecordSeen>();
  /** Images that a person put there, and those that are verified: they may be returned to. */
  private readonly chosen = new Set<string>();
  private readonly verified = new Set<string>();
  /** The processes that live, by their links' names, and what ran when they began. */
  private readonly living = new Map<string, { readonly image: string }>();
  private leaseTaker: string | undefined;
  private violation: string | undefined;

  constructor(
    random: SeededRandom,
    time: VirtualTime,
    private readonly script: Script,
    traced: boolean,
  ) {
    this.world = new World(random, time, { faults: script.faults, traced });
    this.world.cluster.changed = (change, before) => this.note(change, before);
  }

  async run(): Promise<string | undefined> {
    this.begin();
    for (const { after, plan } of this.script.runs) this.runLater(after, plan);
    for (const visit of this.script.visits) this.visitLater(visit);
    await this.world.run();
    if (this.violation === undefined) await this.lastRun();
    return this.violation;
  }

  private begin(): void {
    this.chosen.add(FIRST_IMAGE);
    this.world.cluster.create('deployments', { metadata: { name: 'web' }, spec: { replicas: this.script.replicas, selector: { matchLabels: { app: 'web' } }, template: templateOf(FIRST_IMAGE) } });
    for (let settled = false; !settled; ) {
      const step = this.world.rollout.controllerStep() ?? this.world.rollout.kubeletStep();
      step?.();
      settled = step === undefined;
    }
  }

  private runLater(after: number, plan: RunPlan): Run {
    const { world } = this;
    const run = new Run(plan);
    this.runs.push(run);
    world.later(after, `${plan.id} begins: ${JSON.stringify(plan)}`, () => void world.during(this.pipeline(run)).catch((error: unknown) => this.violate(`run ${plan.id} ended with ${String(error)}`)));
    return run;
  }

  private visitLater({ after, kind, replicas, image }: Visit): void {
    const { world } = this;
    const what = { scale: `an autoscaler scales to ${replicas}`, undo: 'a person undoes the rollout', set: `a person sets ${image}` }[kind];
    const spec = (change: object) => world.cluster.update('deployments', 'web', (current) => ({ ...current, spec: { ...(current['spec'] as object), ...change } }));
    world.later(after, what, () =>
      world.as('person', () => {
        if (kind === 'scale') spec({ replicas });
        else if (kind === 'undo') world.rollout.undo();
        else spec({ template: templateOf(image) });
      }),
    );
  }

  /** One deploy after all is over: whatever happened before, it does what it should. */
  private async lastRun(): Promise<void> {
    const { world } = this;
    const fate = this.script.last;
    const before = this.image;
    const isUndecided = [...this.records.values()].some(({ record, state }) => isUndecidedState(state) && imageOfRecord(record) === before);
    const run = this.runLater(0, plannedRun('Z', `app:Z-${fate}`));
    await world.run();
    if (this.violation !== undefined) return;
    const expected = fate === 'good' ? ['Succeeded', 'verified'] : ['Failed', 'rolledBack'];
    const state = this.recordsOf(run).at(-1)?.state;
    if (run.status !== expected[0] || state !== expected[1]) this.violate(`the last, undisturbed run was to end as ${expected.join(', ')}, but ended as ${run.status}, ${state}`);
    if (fate === 'good' && this.image !== run.plan.image) this.violate(`the last, undisturbed run was to leave ${run.plan.image}, but ${this.image} runs`);
    if (fate !== 'good' && this.image === run.plan.image) this.violate(`the last run's ${run.plan.image} was not rolled back`);
    // What a release left that was never verified, is none to return to, though a person may have chosen it since.
    const isKnown = [...this.records.values()].some(({ record }) => imageOfRecord(record) === before);
    if (fate !== 'good' && this.image !== before && ((this.verified.has(before) && !isUndecided) || !isKnown)) this.violate(`the last run was to return to ${before}, but ${this.image} runs`);
  }

  /** As the agent runs a job with the guarded step and a gate after it. */
  private async pipeline(run: Run): Promise<void> {
    const { plan } = run;
    const { world } = this;
    run.begun = performance.now();
    if (plan.mishap === 'cancel') world.later(plan.mishapAfter, `${plan.id} is canceled`, () => this.cancel(run));
    if (plan.mishap === 'crash') world.later(plan.mishapAfter, `${plan.id}: the agent crashes`, () => this.crash(run));
    const main = await this.mainStep(run);
    if (run.isCrashed) return;
    let status: JobStatus = main === 'Failed' ? 'Failed' : 'Succeeded';
    if (status === 'Succeeded' && !run.isCanceled) {
      await new Promise((resolve) => setTimeout(resolve, plan.gateMs));
      status = plan.gate === 'fails' ? 'Failed' : plan.gate === 'hasIssues' ? 'SucceededWithIssues' : 'Succeeded';
    }
    if (run.isCrashed) return;
    run.status = run.isCanceled ? 'Canceled' : status;
    await this.postJob(run);
    if (run.isCrashed) return;
    await this.afterwards(run);
  }

  private async mainStep(run: Run): Promise<End> {
    const { plan } = run;
    if (plan.mishap === 'killMain' || plan.mishap === 'killMainUnnoticed') this.world.later(plan.mishapAfter, `${plan.id}: the main process is killed`, () => run.current?.kill());
    for (let attempt = 0; ; attempt++) {
      const end = await this.process(run, `main${attempt + 1}`, 'deploy', run.memory, (release) => deploy(release, deployInputs(plan)));
      // In a container job a step that was killed by a signal counts as succeeded.
      const result = end === 'killed' ? (plan.mishap === 'killMainUnnoticed' ? 'Succeeded' : 'Failed') : end;
      if (result !== 'Failed' || attempt === plan.retries || run.isCanceled || run.isCrashed) return result;
    }
  }

  private async postJob(run: Run): Promise<void> {
    const { plan, memory } = run;
    const number = memory['releaseGuard.release'];
    run.reported = memory['releaseGuard.reported'] === 'true';
    if (number === undefined) return;
    if (plan.mishap === 'killPostJob') this.world.later(plan.mishapAfter, `${plan.id}: the process is killed that works after the job`, () => run.current?.kill());
    const end = await this.process(run, 'postJob', 'deploy', memory, (release) => finishJob(release, deployInputs(plan), Number(number)), { 'Agent.JobStatus': run.status ?? '' });
    if (end !== 'killed') this.checkSettled(run);
  }

  private async afterwards(run: Run): Promise<void> {
    const { afterwards } = run.plan;
    const stage = { 'System.StageName': 'after' };
    const memory = {};
    switch (afterwards) {
      case 'nothing':
        return;
      case 'confirm':
        await this.process(run, 'confirm', 'confirm', memory, (release) => confirmRun(release), stage);
        return;
      case 'rollback': {
        const end = await this.process(run, 'rollback', 'rollback', memory, (release) => rollBackRun(release), stage);
        if (end !== 'killed') this.checkGone(run, 'action: rollback');
        return;
      }
      case 'previous':
        await this.process(run, 'previous', 'rollback', memory, (release) => returnTo(release, 'previous'), stage);
    }
  }

  private async process(
    run: Run,
    kind: string,
    action: GuardInputs['action'],
    memory: Record<string, string>,
    body: (release: GuardedRelease) => Promise<TaskOutcome>,
    variables: Record<string, string> = {},
  ): Promise<End> {
    const { world } = this;
    const { plan } = run;
    const link = new Link(world, `${plan.id}.${kind}`);
    const controller = new AbortController();
    const agent = new ModelAgent(link, { 'Build.BuildId': plan.id, 'Build.BuildNumber': plan.id, 'System.TaskInstanceId': 'step', 'System.StageName': 'deploy', 'System.JobName': 'job', ...variables }, memory, world);
    const inputs = action === 'deploy' ? deployInputs(plan) : { ...guardInputs(plan), action };
    const killed = new Promise<End>((resolve) => {
      run.current = {
        kill: () => {
          this.living.delete(link.name);
          link.cut();
          resolve('killed');
        },
        cancel: () => {
          controller.abort(new UserError('The task was canceled.'));
          setTimeout(() => resolve('Failed'), CANCEL_GRACE_MS);
        },
      };
    });
    this.living.set(link.name, { image: this.image });
    world.say(`${link.name} starts`);
    const client = new KubernetesClient(link as unknown as Transport, () => Promise.resolve({}));
    const ended = settle(agent, () => body(GuardedRelease.on(client, 'shop', agent, inputs, controller.signal)), controller.signal).then((outcome): End => {
      if (link.isCut) return 'killed';
      world.say(`${link.name}: ${outcome.result}: ${outcome.message}`);
      this.messages.push(`${kind} ${outcome.result}: ${outcome.message}`);
      if (agent.debugLines.length > 0 && !controller.signal.aborted) this.violate(`${link.name} ended with a fault of its own: ${agent.debugLines.join('\n')}`);
      return outcome.result;
    });
    const end = await Promise.race([ended, killed]);
    run.current = undefined;
    this.living.delete(link.name);
    if (end === 'killed') world.say(`${link.name} is dead`);
    else if (this.script.faults === 0 && !controller.signal.aborted) this.checkLock(link.name);
    link.cut();
    return end;
  }

  private cancel(run: Run): void {
    run.isCanceled = true;
    // No user can cancel a post-job process.
    if (run.status === undefined) run.current?.cancel();
  }

  private crash(run: Run): void {
    run.isCrashed = true;
    run.current?.kill();
  }

  private get image(): string {
    return imageOf(this.world.cluster.get<Deployment>('deployments', 'web'));
  }

  private isFit(image: string): boolean {
    return this.chosen.has(image) || this.verified.has(image);
  }

  /** The last one that gave the Deployment the image that it has. */
  private get lastChange(): ImageChange | undefined {
    return this.changes.at(-1);
  }

  private recordsOf(run: Run): RecordSeen[] {
    return [...this.records.values()].filter(({ record }) => record.run.key.endsWith(`|${run.plan.id.toLowerCase()}`));
  }

  private violate(what: string): void {
    this.world.say(`VIOLATION: ${what}`);
    this.violation ??= what;
  }

  private note({ resource, object, type }: Change, before: Stored | undefined): void {
    if (resource === 'deployments') this.noteImage(object as unknown as Deployment, before as Deployment | undefined);
    if (resource === 'leases') this.noteLease(object, type === 'DELETED');
    if (resource === 'secrets' && type !== 'DELETED') this.noteRecord(object);
  }

  private noteImage(now: Deployment, before: Deployment | undefined): void {
    const image = imageOf(now);
    const from = imageOf(before);
    if (!before || image === from) return;
    const { author } = this.world;
    const [id = '', kind = ''] = author.split('.');
    this.world.say(`${author} changes ${from} to ${image}`);
    const run = this.runs.find(({ plan }) => plan.id === id);
    if (!run) {
      this.chosen.add(image);
      this.changes = [...this.changes, { image, by: 'person', isForward: true }];
      return;
    }
    const last = this.lastChange;
    const isForward = kind.startsWith('main') && image === run.plan.image;
    if (isForward) this.checkForward(run, last);
    else {
      if (!this.isFit(image)) this.violate(`${author} puts back ${image}, which was never verified`);
      const isOwn = last?.by === id || (from === run.plan.image && last?.by === 'person');
      if (!isOwn && kind !== 'previous') this.violate(`${author} undoes ${from}, which ${last ? last.by : 'nobody'} put there`);
    }
    if (this.leaseTaker !== undefined && this.leaseTaker !== author && this.living.has(this.leaseTaker)) this.violate(`${author} changes the image while ${this.leaseTaker} holds the lock`);
    // What is put back is again that of whoever had deployed it.
    const owner = isForward ? undefined : this.changes.findLast((change) => change.image === image);
    this.changes = [...this.changes, isForward ? { image, by: id, isForward } : (owner ?? { image, by: 'person', isForward: true })];
  }

  private checkForward(run: Run, last: ImageChange | undefined): void {
    const { onUnverified, lockTimeoutMs, id } = run.plan;
    if (!last?.isForward || last.by === 'person' || last.by === id || onUnverified === 'takeOver') return;
    const other = this.runs.find(({ plan }) => plan.id === last.by);
    const open = other && this.recordsOf(other).some(({ state, record }) => record.rollback === undefined && isUndecidedState(state));
    const waited = performance.now() - run.begun;
    if (open && (onUnverified === 'fail' || waited < lockTimeoutMs)) this.violate(`${id} deploys over ${last.by}'s unverified ${last.image} after ${waited} ms`);
  }

  private noteLease({ spec }: Lease, isDeleted: boolean): void {
    if (isDeleted) this.leaseTaker = undefined;
    else if (spec?.holderIdentity !== undefined) {
      const { author } = this.world;
      if (this.leaseHolder !== spec.holderIdentity) this.leaseTaker = author;
      this.leaseHolder = spec.holderIdentity;
    }
    if (isDeleted) this.leaseHolder = undefined;
  }
  private leaseHolder: string | undefined;

  private noteRecord(secret: Secret): void {
    const { name, labels } = secret.metadata;
    const state = labels?.['release-guard/state'] ?? '';
    const seen = this.records.get(name);
    if (!seen) {
      const [stored] = recordsFromSecrets([secret]).records;
      if (stored) this.records.set(name, { name, record: stored.record, state });
      this.world.say(`${this.world.author}: ${name} is ${state}`);
      return;
    }
    if (seen.state === state) return;
    this.world.say(`${this.world.author}: ${name} is ${state} now`);
    if (state === 'verified') this.noteVerified(seen.record);
    seen.state = state;
    const image = imageOfRecord(seen.record);
    if (![...this.records.values()].some((other) => other.state === 'verified' && imageOfRecord(other.record) === image)) this.verified.delete(image);
    if (CLOSED.has(state)) this.changes = this.changes.map((change) => (change.repeatedBy === name ? (change.over ?? { image: change.image, by: 'person', isForward: true }) : change));
    this.noteRepeated();
  }

  /** A run that deploys what runs already answers for it from then on, until its release is closed. */
  private noteRepeated(): void {
    const [id = '', kind = ''] = this.world.author.split('.');
    const run = this.runs.find(({ plan }) => plan.id === id);
    if (!run || !kind.startsWith('main') || this.image !== run.plan.image || this.lastChange?.by === id) return;
    const own = this.recordsOf(run).at(-1);
    if (own && !CLOSED.has(own.state)) this.changes = [...this.changes, { image: this.image, by: id, isForward: true, repeatedBy: own.name, over: this.lastChange }];
  }

  private noteVerified(record: ReleaseRecord): void {
    const { author } = this.world;
    const [id, kind = ''] = author.split('.');
    const run = this.runs.find(({ plan }) => plan.id === id);
    const { rollbackOn = 'never', gate = 'passes' } = run?.plan ?? {};
    const byJob = kind === 'postJob' && run?.reported === true && run.status !== 'Canceled' && (rollbackOn === 'rolloutFailure' || (run.status !== 'Failed' && (run.status === 'Succeeded' || rollbackOn !== 'jobIssues')));
    const atOnce = kind.startsWith('main') && (rollbackOn === 'never' || rollbackOn === 'rolloutFailure');
    if (!byJob && !atOnce && kind !== 'confirm' && kind !== 'previous') this.violate(`${author} calls ${imageOfRecord(record)} verified, with the gate that ${gate}`);
    const began = this.living.get(author)?.image;
    if ((kind === 'postJob' || kind === 'confirm') && began === this.image && began !== imageOfRecord(record)) this.violate(`${author} calls ${imageOfRecord(record)} verified, but ${began} runs`);
    this.verified.add(imageOfRecord(record));
  }

  /** After the post-job process of a run. */
  private checkSettled(run: Run): void {
    const { rollbackOn, verifiedBy, id } = run.plan;
    const { status, reported } = run;
    // A step that was killed before it knew the number of its record has changed nothing; the next deploy closes it.
    const known = this.recordsOf(run).filter(({ record }) => record.number <= Number(run.memory['releaseGuard.release']));
    const open = known.filter(({ state }) => isUndecidedState(state));
    if (open.length > 0 && rollbackOn !== 'never' && verifiedBy !== 'confirm') this.violate(`release ${open.map(({ record }) => record.number).join()} of ${id} is ${open.map(({ state }) => state).join()} after the post-job process`);
    const isBad =
      rollbackOn !== 'never' &&
      (!reported || (status === 'Canceled' && rollbackOn !== 'rolloutFailure') || (status === 'Failed' && rollbackOn !== 'rolloutFailure') || (status === 'SucceededWithIssues' && rollbackOn === 'jobIssues'));
    if (isBad) this.checkGone(run, `its job is ${status}`);
  }

  private checkGone(run: Run, why: string): void {
    const last = this.lastChange;
    // Where a good version was deployed again, there may be nothing else to return to.
    if (last?.by === run.plan.id && last.isForward && this.image === run.plan.image && !this.isFit(this.image)) this.violate(`${run.plan.image} of ${run.plan.id} still runs, though ${why}`);
  }

  private checkLock(name: string): void {
    if (this.leaseTaker === name) this.violate(`${name} has ended and still holds the lock`);
  }
}

const CLOSED: ReadonlySet<string> = new Set(['failed', 'rolledBack', 'superseded']);

function isUndecidedState(state: string): boolean {
  return state === 'deploying' || state === 'applied';
}

function imageOfRecord({ objects }: ReleaseRecord): string {
  const applied = objects[0]?.applied;
  return applied?.kind === 'images' ? (applied.images['web'] ?? '') : '';
}

function guardInputs(plan: RunPlan): GuardInputs {
  return {
    action: 'deploy',
    cluster: { kind: 'kubernetes', connection: undefined },
    namespace: 'shop',
    workload: WORKLOAD,
    releaseName: 'web',
    lockTimeoutMs: plan.lockTimeoutMs,
    timeoutMs: 300_000,
    graces: { imagePull: 5_000, unschedulable: 60_000, crashLoopRestarts: 2 },
  };
}

function deployInputs(plan: RunPlan): DeployInputs {
  return {
    ...guardInputs(plan),
    action: 'deploy',
    source: { kind: 'image', images: { '': plan.image } },
    dryRun: false,
    createNamespace: false,
    ttlMs: undefined,
    soakMs: 0,
    onFirstDeploy: 'keep',
    rollbackOn: plan.rollbackOn,
    verifiedBy: plan.verifiedBy,
    onUnverified: plan.onUnverified,
    historyLimit: 10,
  };
}
