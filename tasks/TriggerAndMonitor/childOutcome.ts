import type { TaskOutcome } from '../core/agent/agent';
import type { RunResult } from '../core/azureDevOps/buildVerdict';
import { formatDuration } from '../core/time/clock';
import type { TriggerInputs } from './inputs';

/** How following a child ended. */
export type FollowEnd =
  | { readonly kind: 'ended'; readonly result: RunResult; readonly phase: string; readonly reason: string }
  | { readonly kind: 'timedOut'; readonly phase: string };

export interface ChildOutcome extends TaskOutcome {
  /** The output variable. */
  readonly outcome: 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled' | 'timedOut';
  readonly failureReason: string;
}

/** Takes the child's end over as this step's result. */
export function childOutcome(
  end: FollowEnd,
  child: { readonly title: string; readonly url: string },
  inputs: Pick<TriggerInputs, 'onPartiallySucceeded' | 'timeoutMs'>,
): ChildOutcome {
  if (end.kind === 'timedOut') {
    const reason = `${capital(child.title)} did not end within ${formatDuration(inputs.timeoutMs)} (input 'timeout'); at last it was ${end.phase}`;
    return { result: 'Failed', outcome: 'timedOut', failureReason: reason, message: `${reason}. It goes on: ${child.url}` };
  }
  const tail = end.reason ? `: ${end.reason}` : '';
  switch (end.result) {
    case 'succeeded':
      return { result: 'Succeeded', outcome: 'succeeded', failureReason: '', message: `${capital(child.title)}: ${end.phase}.` };
    case 'partiallySucceeded': {
      const result = ({ warn: 'SucceededWithIssues', fail: 'Failed', succeed: 'Succeeded' } as const)[inputs.onPartiallySucceeded];
      const said = `${capital(child.title)} succeeded partially${tail}`;
      return { result, outcome: 'partiallySucceeded', failureReason: result === 'Failed' ? said : '', message: `${said} (${child.url})` };
    }
    case 'failed':
    case 'canceled': {
      const said = `${capital(child.title)} ${end.result === 'failed' ? 'failed' : 'was canceled'}${tail}`;
      return { result: 'Failed', outcome: end.result, failureReason: said, message: `${said} (${child.url})` };
    }
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
