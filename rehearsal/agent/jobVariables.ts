/** A variable of a job, or of a step (task variable). */
export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly secret?: boolean;
  readonly readOnly?: boolean;
  /** Keeps the case of the name in the environment. */
  readonly preserveCase?: boolean;
}

/** The deepest chain of variables that name one another. */
const MAX_DEPTH = 50;

/** The name a variable, input or connection key has in the environment (VarUtil.cs): nothing but `.` and space changes. */
export function environmentName(name: string, preserveCase = false): string {
  const mangled = name.replace(/[. ]/g, '_');
  return preserveCase ? mangled : mangled.toUpperCase();
}

/**
 * Replaces `$(name)` once: text that a value brings in is not looked at again, unknown names stay as text.
 *
 * @param lookup gives the value of a name, or undefined where there is none
 */
export function expandOnce(text: string, lookup: (name: string) => string | undefined): string {
  let expanded = '';
  let from = 0;
  for (;;) {
    const open = text.indexOf('$(', from);
    const close = open < 0 ? -1 : text.indexOf(')', open + 2);
    if (close < 0) return expanded + text.slice(from);
    const name = text.slice(open + 2, close);
    const value = name === '' ? undefined : lookup(name);
    if (value === undefined) {
      expanded += text.slice(from, open + 1);
      from = open + 1;
    } else {
      expanded += text.slice(from, open) + value;
      from = close + 1;
    }
  }
}

/** The variables of a job, names without case. Values that name other variables are expanded when a run starts. */
export class JobVariables {
  readonly #given = new Map<string, Variable>();
  #expanded = new Map<string, Variable>();

  constructor(variables: Iterable<Variable> = []) {
    for (const variable of variables) this.set(variable);
    this.expandAll();
  }

  /** Once secret or read-only, a variable stays so; who may set it is for others to ask. */
  set(variable: Variable): void {
    const key = variable.name.toLowerCase();
    const before = this.#given.get(key);
    const secret = variable.secret === true || before?.secret === true;
    const readOnly = variable.readOnly === true || before?.readOnly === true;
    const stored = { ...variable, secret, readOnly };
    this.#given.set(key, stored);
    this.#expanded.set(key, stored);
  }

  get(name: string): string | undefined {
    return this.#expanded.get(name.toLowerCase())?.value;
  }

  isReadOnly(name: string): boolean {
    return this.#given.get(name.toLowerCase())?.readOnly ?? false;
  }

  /** Replaces `$(name)` in a text, once. */
  expand(text: string): string {
    return expandOnce(text, (name) => this.get(name));
  }

  /** All variables with their expanded values. */
  list(): Variable[] {
    return [...this.#expanded.values()];
  }

  /**
   * Expands variables that name other variables; what names a secret becomes one. The agent does it before each run.
   * @returns a warning for each variable that names itself by a detour; it keeps its text
   */
  expandAll(): string[] {
    const warnings: string[] = [];
    const expanded = new Map<string, Variable>();
    for (const [key, variable] of this.#given) {
      try {
        expanded.set(key, this.#resolve(variable, [key]));
      } catch (error) {
        warnings.push(error instanceof Error ? error.message : String(error));
        expanded.set(key, variable);
      }
    }
    this.#expanded = expanded;
    return warnings;
  }

  #resolve(variable: Variable, chain: readonly string[]): Variable {
    if (!variable.value.includes('$(')) return variable;
    let secret = variable.secret ?? false;
    const value = expandOnce(variable.value, (name) => {
      const key = name.toLowerCase();
      const found = this.#given.get(key);
      if (!found) return undefined;
      if (chain.includes(key) || chain.length >= MAX_DEPTH) {
        throw new Error(`Variable '${variable.name}' was not expanded: it refers to itself through '${name}'.`);
      }
      const inner = this.#resolve(found, [...chain, key]);
      secret ||= inner.secret ?? false;
      return inner.value;
    });
    return { ...variable, value, secret };
  }
}
