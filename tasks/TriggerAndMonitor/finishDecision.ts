import type { ChildReference } from './stepMemory';

export interface FinishSituation {
  readonly child: ChildReference | undefined;
  /** Whether the main process came to an end after which nothing is left to do. */
  readonly settled: boolean;
  readonly cancelChildOnCancel: boolean;
}

export type FinishDecision = { readonly kind: 'nothing'; readonly why: string } | { readonly kind: 'cancel' };

/**
 * What the post-job step does about the child: it cancels one that the main process left alone, because the job was
 * canceled and the cancel did not get through, or because the process was killed.
 */
export function finishDecision({ child, settled, cancelChildOnCancel }: FinishSituation): FinishDecision {
  if (child === undefined) return { kind: 'nothing', why: 'this step triggered nothing' };
  if (settled) return { kind: 'nothing', why: 'the step came to its end' };
  if (!cancelChildOnCancel) return { kind: 'nothing', why: "'cancelChildOnCancel' is false" };
  return { kind: 'cancel' };
}
