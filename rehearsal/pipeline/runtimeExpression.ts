import { VariableLookup } from '../agent/condition';
import type { JobStatus } from '../agent/taskResult';
import { checkExpression, evaluateExpression, type ExpressionContext } from '../expression/evaluate';
import { takes, type ExpressionFunction } from '../expression/functions';
import { ExpressionError, ObjectValue, toBoolean, toText } from '../expression/value';

/** How a stage or a job ended. */
export type NodeResult = JobStatus | 'Skipped';

/** A job or a stage that has ended, as those after it see it. */
export interface FinishedNode {
  readonly name: string;
  readonly result: NodeResult;
  /** `step.variable` of a job, `job.step.variable` of a stage. */
  readonly outputs: Readonly<Record<string, string>>;
}

export interface FinishedStage extends FinishedNode {
  readonly jobs: readonly FinishedNode[];
}

/** What a stage or a job sees of what came before it. */
export interface Past {
  readonly canceled: boolean;
  /** What it depends on itself. */
  readonly direct: readonly FinishedNode[];
  /** With what these depend on in turn. */
  readonly all: readonly FinishedNode[];
  /** For jobs: the stages that their stage depends on. */
  readonly stages?: readonly FinishedStage[];
  readonly variable: (name: string) => string | undefined;
}

const NOTHING: Past = { canceled: false, direct: [], all: [], stages: [], variable: () => undefined };
const GOOD: readonly NodeResult[] = ['Succeeded', 'SucceededWithIssues'];

/**
 * Whether a stage or a job runs. Without arguments the functions of status ask for everything before it, not only for
 * what it depends on directly.
 *
 * @throws ExpressionError
 */
export function nodeRuns(condition: string | undefined, past: Past): boolean {
  return toBoolean(evaluateExpression(condition ?? 'succeeded()', nodeContext(past)));
}

/** @throws ExpressionError where it has an error that shows without running it */
export function checkNodeCondition(condition: string, of: 'stage' | 'job'): void {
  checkExpression(condition, nodeContext(of === 'job' ? NOTHING : withoutStages(NOTHING)));
}

export function isRuntimeExpression(text: string): boolean {
  return /^\s*\$\[[^]*\]\s*$/.test(text);
}

/** @param text `$[ … ]` @throws ExpressionError */
export function evaluateRuntimeExpression(text: string, past: Past): string {
  return toText(evaluateExpression(inside(text), valueContext(past)));
}

/** @throws ExpressionError where it has an error that shows without running it */
export function checkRuntimeExpression(text: string): void {
  checkExpression(inside(text), valueContext(NOTHING));
}

function inside(text: string): string {
  return text.trim().slice(2, -1);
}

function withoutStages({ stages: _, ...past }: Past): Past {
  return past;
}

function valueContext({ direct, stages, variable }: Past): ExpressionContext {
  return {
    place: stages ? 'an expression of a job' : 'an expression of a stage',
    names: {
      variables: () => new VariableLookup(variable),
      dependencies: () => ObjectValue.of(Object.fromEntries(direct.map((node) => [node.name, nodeValue(node)]))),
      ...(stages && {
        stagedependencies: () =>
          ObjectValue.of(
            Object.fromEntries(
              stages.map(({ name, jobs }) => [name, ObjectValue.of(Object.fromEntries(jobs.map((job) => [job.name, nodeValue(job)])))]),
            ),
          ),
      }),
    },
  };
}

function nodeContext(past: Past): ExpressionContext {
  const { all, canceled } = past;
  const resultsOf = (names: readonly string[]): NodeResult[] =>
    names.map((name) => {
      const found = all.find((node) => node.name.toLowerCase() === name.toLowerCase());
      if (!found) throw new ExpressionError(`'${name}' is not among what comes before it: ${all.map((node) => node.name).join(', ') || 'nothing'}.`);
      return found.result;
    });
  const status = (call: (asked: readonly NodeResult[], named: boolean) => boolean): ExpressionFunction =>
    takes(0, Number.POSITIVE_INFINITY, (args) =>
      call(args.length > 0 ? resultsOf(args.map((arg) => toText(arg()))) : all.map(({ result }) => result), args.length > 0),
    );
  return {
    ...valueContext(past),
    place: past.stages ? 'the condition of a job' : 'the condition of a stage',
    functions: {
      always: takes(0, 0, () => true),
      canceled: takes(0, 0, () => canceled),
      succeeded: status((asked) => !canceled && asked.every((result) => GOOD.includes(result))),
      failed: status((asked) => asked.includes('Failed')),
      succeededorfailed: status(
        (asked, named) => !canceled && (!named || asked.some((result) => GOOD.includes(result) || result === 'Failed')),
      ),
    },
  };
}

function nodeValue({ result, outputs }: FinishedNode): ObjectValue {
  return ObjectValue.of({ result, outputs: ObjectValue.of(outputs) });
}
