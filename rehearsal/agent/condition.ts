import { checkExpression, evaluateExpression, type ExpressionContext } from '../expression/evaluate';
import { takes, type ExpressionFunction } from '../expression/functions';
import { ObjectValue, toBoolean, type Value } from '../expression/value';
import type { JobStatus } from './taskResult';

/** What a condition can ask for. */
export interface ConditionContext {
  readonly jobStatus: JobStatus;
  /** The value of a job variable, undefined where there is none. */
  readonly variable: (name: string) => string | undefined;
}

/**
 * Evaluates a step's condition. Rules: "Expressions" of the Azure Pipelines documentation; text is compared
 * without case, the right value of a comparison is converted to the type of the left one.
 *
 * @throws ExpressionError where the condition cannot be read
 */
export function evaluateCondition(text: string, context: ConditionContext): boolean {
  return toBoolean(evaluateExpression(text, expressionContext(context)));
}

/** @throws ExpressionError where the condition has an error that shows without running it. */
export function checkCondition(text: string): void {
  checkExpression(text, expressionContext({ jobStatus: 'Succeeded', variable: () => undefined }));
}

/** `variables['name']` and `variables.name`, looked up one by one. */
export class VariableLookup extends ObjectValue {
  constructor(private readonly lookup: (name: string) => string | undefined) {
    super(() => []);
  }

  override get(name: string): Value {
    return this.lookup(name) ?? null;
  }
}

function expressionContext({ jobStatus, variable }: ConditionContext): ExpressionContext {
  const status = (call: (job: JobStatus) => boolean): ExpressionFunction => takes(0, 0, () => call(jobStatus));
  return {
    place: 'the condition of a step',
    names: { variables: () => new VariableLookup(variable) },
    functions: {
      always: status(() => true),
      canceled: status((job) => job === 'Canceled'),
      failed: status((job) => job === 'Failed'),
      succeeded: status((job) => job === 'Succeeded' || job === 'SucceededWithIssues'),
      succeededorfailed: status((job) => job !== 'Canceled'),
    },
  };
}
