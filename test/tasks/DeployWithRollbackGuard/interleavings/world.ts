import type { TransportRequest, TransportResponse } from '../../../../tasks/core/kubernetes/transport';
import { ConnectionError } from '../../../../tasks/core/kubernetes/apiError';
import { abortReason } from '../../../../tasks/core/time/clock';
import { ModelCluster } from './modelCluster';
import { ModelRollout } from './modelRollout';
import type { SeededRandom } from './seededRandom';
import type { VirtualTime } from './virtualTime';

/** Something that happens from outside, once the schedule has come that far. */
export interface Happening {
  readonly at: number;
  readonly what: string;
  readonly happen: () => void;
}

interface Pending {
  readonly link: Link;
  readonly request: TransportRequest;
  readonly since: number;
  readonly settle: (answer: TransportResponse | Error) => void;
}

interface OpenWatch {
  readonly link: Link;
  readonly path: string;
  readonly body: AnswerBody;
  sent: number;
}

/** More steps than any run of the guard should ever need. */
const STEP_LIMIT = 6_000;

/**
 * Where processes, the cluster's controllers, people and faults meet: at every step the seed decides who goes on. A
 * request is carried out in one step; its answer, each delivery of a watch and each move of a controller are others.
 */
export class World {
  readonly cluster = new ModelCluster();
  readonly rollout = new ModelRollout(this.cluster);
  readonly trace: string[] = [];
  step = 0;
  /** Whose change is being carried out. */
  author = 'start';
  private pending: Pending[] = [];
  private answers: { readonly link: Link; readonly deliver: () => void }[] = [];
  private watches: OpenWatch[] = [];
  private happenings: Happening[] = [];
  private alive = 0;
  private rolloutSeen = -1;
  private rolloutMoves: readonly (() => void)[] = [];

  constructor(
    readonly random: SeededRandom,
    private readonly time: VirtualTime,
    private readonly options: { readonly faults: number; readonly traced: boolean },
  ) {}

  say(line: string | (() => string)): void {
    if (!this.options.traced) return;
    const text = typeof line === 'string' ? line : line();
    this.trace.push(`${String(this.step).padStart(4)} ${(performance.now() / 1000).toFixed(1).padStart(7)}s  ${text}`);
  }

  /** In the course of the schedule, after so many steps from now. */
  later(after: number, what: string, happen: () => void): void {
    this.happenings.push({ at: this.step + after, what, happen });
    this.happenings.sort((a, b) => a.at - b.at);
  }

  /** Something whose end is waited for. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.alive += 1;
    try {
      return await work;
    } finally {
      this.alive -= 1;
    }
  }

  /** Does something to the cluster in a person's or a controller's name. */
  as(author: string, change: () => void): void {
    const before = this.author;
    this.author = author;
    change();
    this.author = before;
  }

  /** Runs until nothing more can happen. @throws Error where that does not come */
  async run(): Promise<void> {
    for (;;) {
      await this.time.settle();
      if (this.step >= STEP_LIMIT) throw new Error(`It does not come to an end: ${STEP_LIMIT} steps were done.`);
      if (!this.advance()) return;
    }
  }

  private advance(): boolean {
    const [next] = this.happenings;
    if (next && next.at <= this.step) return this.happen(next);
    const moves = this.moves();
    // Requests may take their time.
    if (moves.length > 0) {
      this.step += 1;
      if (this.random.chance(0.02)) this.time.pass(200);
      else this.random.of(...moves)();
      return true;
    }
    if (next && (this.alive === 0 || this.random.chance(0.5))) return this.happen(next);
    if (this.alive > 0 && this.jump()) return true;
    if (next) return this.happen(next);
    if (this.alive > 0) throw new Error('A process waits for something that never comes.');
    return false;
  }

  private jump(): boolean {
    const passed = this.time.jump();
    this.step += 1;
    return passed !== undefined;
  }

  private happen(next: Happening): true {
    this.happenings.shift();
    this.step += 1;
    this.say(next.what);
    next.happen();
    return true;
  }

  private moves(): (() => void)[] {
    const moves: (() => void)[] = [];
    for (const pending of this.pending) moves.push(() => this.carryOut(pending));
    for (const answer of this.answers) {
      moves.push(() => {
        this.answers = this.answers.filter((other) => other !== answer);
        answer.deliver();
      });
    }
    const latest = this.cluster.history.at(-1)?.version ?? 0;
    for (const watch of this.watches) if (watch.sent < latest) moves.push(() => this.deliver(watch));
    if (this.rolloutSeen !== latest) {
      this.rolloutSeen = latest;
      this.rolloutMoves = [this.rollout.controllerStep(), this.rollout.kubeletStep()].filter((step) => step !== undefined).map((step) => () => this.as('controller', () => this.roll(step)));
    }
    moves.push(...this.rolloutMoves);
    return moves;
  }

  /** Most often a few steps at once, as controllers are fast. */
  private roll(step: (() => void) | undefined): void {
    for (let next = step; next; next = this.random.chance(0.8) ? (this.rollout.controllerStep() ?? this.rollout.kubeletStep()) : undefined) next();
  }

  /** @internal of {@link Link} */
  send(link: Link, request: TransportRequest): Promise<TransportResponse> {
    return new Promise((resolve, reject) => {
      const { signal } = request;
      if (signal?.aborted) return reject(abortReason(signal));
      const pending: Pending = {
        link,
        request,
        since: performance.now(),
        settle: (answer) => {
          signal?.removeEventListener('abort', aborted);
          if (link.isCut) return;
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        },
      };
      const aborted = () => {
        this.dropOrDo(pending);
        pending.settle(abortReason(signal));
      };
      signal?.addEventListener('abort', aborted);
      this.pending.push(pending);
    });
  }

  /** @internal of {@link Link}: what was under way is carried out, or never arrives */
  cut(link: Link): void {
    for (const pending of this.pending.filter((candidate) => candidate.link === link)) this.dropOrDo(pending);
    this.answers = this.answers.filter((answer) => answer.link !== link);
    this.watches = this.watches.filter((watch) => watch.link !== link);
  }

  private dropOrDo(pending: Pending): void {
    if (!this.pending.includes(pending)) return;
    this.pending = this.pending.filter((other) => other !== pending);
    if (isWatch(pending.request)) return;
    const arrives = this.random.chance(0.5);
    if (arrives) this.as(pending.link.name, () => this.cluster.answer(modelRequest(pending.request)));
    this.say(() => `${pending.link.name}: ${shown(pending.request)} is given up, ${arrives ? 'and carried out' : 'and never arrives'}`);
  }

  private carryOut(pending: Pending): void {
    const { link, request, settle } = pending;
    this.pending = this.pending.filter((other) => other !== pending);
    link.requests += 1;
    const faulty = this.random.chance(this.options.faults) ? this.random.of('busy', 'reset', 'lost', 'unavailable') : undefined;
    if (faulty === 'busy' || faulty === 'reset' || faulty === 'unavailable') {
      this.say(() => `${link.name}: ${shown(request)}: fault: ${faulty}`);
      return settle(faulty === 'reset' ? connectionLost() : jsonAnswer(faulty === 'busy' ? 429 : 503, '{}'));
    }
    if (isWatch(request)) return this.open(pending);
    let answer = { status: 0, text: '' };
    this.as(link.name, () => (answer = this.cluster.answer(modelRequest(request))));
    this.say(() => `${link.name}: ${shown(request)}: ${answer.status}${faulty ? ', and the answer is lost' : ''}`);
    const deliver = () => settle(faulty ? connectionLost() : jsonAnswer(answer.status, answer.text));
    link.carriedOut?.(request, link.requests);
    if (link.isCut) return;
    // Others may act before the answer is heard.
    if (this.random.chance(0.3)) this.answers.push({ link, deliver });
    else deliver();
  }

  private open({ link, request, settle }: Pending): void {
    const body = new AnswerBody();
    const watch: OpenWatch = { link, path: request.path, body, sent: Number(/resourceVersion=(\d+)/.exec(request.path)?.[1] ?? 0) };
    this.watches.push(watch);
    const close = () => {
      request.signal?.removeEventListener('abort', close);
      this.watches = this.watches.filter((other) => other !== watch);
      body.end(request.signal?.aborted ? abortReason(request.signal) : undefined);
    };
    body.destroyed = close;
    request.signal?.addEventListener('abort', close, { once: true });
    settle({ status: 200, headers: {}, body: body as unknown as TransportResponse['body'] });
  }

  private deliver(watch: OpenWatch): void {
    if (this.random.chance(this.options.faults)) {
      this.say(`${watch.link.name}: a watch ends`);
      if (this.random.chance(0.3)) watch.body.push(`{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old resource version"}}\n`);
      this.watches = this.watches.filter((other) => other !== watch);
      watch.body.end();
      return;
    }
    const { lines, upTo } = this.cluster.watchLines(watch.path, watch.sent);
    watch.sent = upTo;
    for (const line of lines) watch.body.push(line);
  }
}

/** A process's way to the cluster. Cut, nothing comes or goes any more, as for a process that was killed. */
export class Link {
  isCut = false;
  requests = 0;
  readonly server = 'https://model';
  readonly timings = { watchRenewal: 25_000, watchSilence: 33_000 };
  readonly detectsDeadConnections = true;
  /** Called after each request that was carried out, before its answer. */
  carriedOut: ((request: TransportRequest, count: number) => void) | undefined;

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {}

  send(request: TransportRequest): Promise<TransportResponse> {
    return this.isCut ? new Promise(() => undefined) : this.world.send(this, request);
  }

  cut(): void {
    if (this.isCut) return;
    this.isCut = true;
    this.world.cut(this);
  }

  close(): void {
    this.cut();
  }
}

/** An answer's body that is written bit by bit; much lighter than a stream. */
class AnswerBody implements AsyncIterable<Buffer> {
  destroyed: () => void = () => undefined;
  private readonly chunks: Buffer[] = [];
  private isOver = false;
  private error: Error | undefined;
  private wake: (() => void) | undefined;

  push(text: string): void {
    this.chunks.push(Buffer.from(text));
    this.wake?.();
  }

  end(error?: Error): void {
    this.isOver = true;
    this.error ??= error;
    this.wake?.();
  }

  destroy(): void {
    this.destroyed();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.chunks.shift();
      if (chunk) yield chunk;
      else if (this.error) throw this.error;
      else if (this.isOver) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

function jsonAnswer(status: number, text: string): TransportResponse {
  const body = new AnswerBody();
  body.push(text);
  body.end();
  return { status, headers: {}, body: body as unknown as TransportResponse['body'] };
}

function connectionLost(): ConnectionError {
  return new ConnectionError('https://model', 'ECONNRESET', 'the connection was closed before the answer', true);
}

function isWatch({ path }: TransportRequest): boolean {
  return path.includes('watch=true');
}

function modelRequest({ method, path, headers, body }: TransportRequest) {
  return { method, path, contentType: headers['content-type'], body };
}

function shown({ method, path, body }: TransportRequest): string {
  const image = method === 'PATCH' && path.includes('/deployments/') ? ` ${/"op":"(?:replace|add)".*?"(?:value|image)":"?([^"{}]+)"/.exec(body ?? '')?.[1] ?? body?.slice(0, 300) ?? ''}` : '';
  return `${method} ${path.replace(/^.*\/namespaces\/shop\//, '').replace(/\?.*?(fieldSelector=[^&]*).*$/, '?$1').replace(/[?&]fieldManager.*$/, '')}${image}`;
}
