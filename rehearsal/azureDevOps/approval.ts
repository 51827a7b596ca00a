import type { SimulatorClock } from './clock';
import type { ApprovalScenario } from './scenario';

export type ApprovalStatus = 'pending' | 'approved' | 'rejected' | 'canceled' | 'timedOut' | 'skipped';

export interface ApprovalStep {
  readonly approver: string;
  status: ApprovalStatus;
  comment: string;
  changedOn: number;
}

const THIRTY_DAYS = 30 * 24 * 3_600_000;

/** An approval that a stage of a YAML pipeline waits for. */
export class Approval {
  readonly steps: ApprovalStep[];
  readonly createdOn: number;
  readonly minRequiredApprovers: number;
  private decide: (() => void) | undefined;

  constructor(
    readonly id: string,
    readonly runId: number,
    readonly stage: string,
    readonly scenario: ApprovalScenario,
    owner: string,
    private readonly clock: SimulatorClock,
    private readonly now: () => number,
  ) {
    const approvers = scenario.approvers ?? [owner];
    this.createdOn = now();
    this.steps = approvers.map((approver) => ({ approver, status: 'pending', comment: '', changedOn: this.createdOn }));
    this.minRequiredApprovers = scenario.minRequiredApprovers ?? approvers.length;
  }

  private ended: ApprovalStatus | undefined;

  get status(): ApprovalStatus {
    return this.ended ?? 'pending';
  }

  get lastModifiedOn(): number {
    return Math.max(...this.steps.map(({ changedOn }) => changedOn));
  }

  /** Records a decision of one approver who has not decided yet; nothing happens once all is decided. */
  update(status: 'approved' | 'rejected', comment = ''): void {
    const step = this.steps.find((one) => one.status === 'pending');
    if (!step || this.ended) return;
    Object.assign(step, { status, comment, changedOn: this.now() });
    const approved = this.steps.filter((one) => one.status === 'approved').length;
    if (status === 'rejected') this.end('rejected');
    else if (approved >= this.minRequiredApprovers) this.end('approved');
  }

  /** @returns how it was decided */
  async wait(signal: AbortSignal): Promise<'approved' | 'rejected' | 'timedOut' | 'canceled'> {
    const stop = new AbortController();
    const decided = new Promise<void>((resolve) => (this.decide = resolve));
    if (this.ended === undefined) {
      const time = this.clock.sleep(this.scenario.timeout ?? THIRTY_DAYS, AbortSignal.any([signal, stop.signal])).then(
        () => this.end('timedOut'),
        () => signal.aborted && this.end('canceled'),
      );
      await Promise.race([decided, time]);
      stop.abort();
    }
    return this.ended as 'approved' | 'rejected' | 'timedOut' | 'canceled';
  }

  private end(status: ApprovalStatus): void {
    if (this.ended) return;
    this.ended = status;
    for (const step of this.steps) {
      if (step.status === 'pending') Object.assign(step, { status: status === 'approved' || status === 'rejected' ? 'skipped' : status, changedOn: this.now() });
    }
    this.decide?.();
  }
}
