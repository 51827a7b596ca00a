import FakeTimers from '@sinonjs/fake-timers';
import type { SeededRandom } from './seededRandom';

const turnOfEventLoop = setImmediate;

/** Virtual time and seeded chance for all code of this process, until it is given back. */
export class VirtualTime {
  private readonly clock = FakeTimers.install({ now: Date.UTC(2026, 0, 1), toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] });
  private readonly random = Math.random;
  private readonly timeout = AbortSignal.timeout.bind(AbortSignal);

  constructor() {
    // Node's own would count real time.
    AbortSignal.timeout = (milliseconds) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), milliseconds);
      return controller.signal;
    };
  }

  begin(random: SeededRandom): void {
    this.clock.reset();
    Math.random = random.next;
  }

  giveBack(): void {
    this.clock.uninstall();
    Math.random = this.random;
    AbortSignal.timeout = this.timeout;
  }

  /** Lets all code run on until it waits for time, or for an answer. */
  settle(): Promise<void> {
    return new Promise((resolve) => turnOfEventLoop(resolve));
  }

  pass(milliseconds: number): void {
    this.clock.tick(milliseconds);
  }

  /** Goes to the next timer, if there is one. @returns how many milliseconds that took, undefined where there is none */
  jump(): number | undefined {
    if (this.clock.countTimers() === 0) return undefined;
    const before = this.clock.now;
    this.clock.next();
    return this.clock.now - before;
  }
}
