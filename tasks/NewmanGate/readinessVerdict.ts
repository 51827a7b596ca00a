/** What one probe of the service found. */
export type ProbeResult = { readonly status: number } | { readonly error: string };

export interface ReadinessVerdict {
  readonly ready: boolean;
  /** What is being waited for, to be shown when it changes. */
  readonly state: string;
}

/**
 * Says whether a probe's result means that tests may start.
 * @param anyAnswer without a health address a service counts as ready when it speaks HTTP at all; an address that was
 * given must answer 2xx or 3xx.
 */
export function readinessVerdict(result: ProbeResult, anyAnswer: boolean): ReadinessVerdict {
  if ('error' in result) return { ready: false, state: result.error };
  return { ready: anyAnswer || (result.status >= 200 && result.status < 400), state: `answered HTTP ${result.status}` };
}

/** Milliseconds to wait before the next probe: quick at first, since most services are a moment away. */
export function probeDelay(attempt: number): number {
  return Math.min(2000, 100 * 1.6 ** attempt);
}
