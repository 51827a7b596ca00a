/**
 * A signal that is aborted after this many milliseconds, to be combined with others. `AbortSignal.timeout` must not be:
 * of Node 20, `AbortSignal.any` keeps its sources only weakly, so one that nobody else holds is collected as garbage, and
 * its time never comes. The timer keeps no process alive.
 */
export function timeLimit(milliseconds: number): AbortSignal {
  const over = new AbortController();
  setTimeout(() => over.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), milliseconds).unref();
  return over.signal;
}
