/** What an expression comes to. Names of properties and comparisons of text ignore case. */
export type Value = null | boolean | number | string | Version | ListValue | ObjectValue;

/** A literal such as 1.2.3 or 1.2.3.4; two parts alone are a number. */
export interface Version {
  readonly parts: readonly number[];
}

/** A list. @see ObjectValue.source */
export class ListValue {
  constructor(
    readonly items: () => readonly Value[],
    readonly source?: unknown,
  ) {}
}

/** A mapping of names to values, read when asked for. */
export class ObjectValue {
  /**
   * @param source what the value was made from, so that whoever made it can have it back as it was written
   */
  constructor(
    readonly entries: () => Iterable<readonly [string, Value]>,
    readonly source?: unknown,
  ) {}

  static of(values: Readonly<Record<string, Value>>): ObjectValue {
    return new ObjectValue(() => Object.entries(values));
  }

  /** Null where there is no such property. */
  get(name: string): Value {
    const wanted = name.toLowerCase();
    for (const [key, value] of this.entries()) if (key.toLowerCase() === wanted) return value;
    return null;
  }
}

/** An expression that cannot be read or evaluated. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}

export function isVersion(value: Value): value is Version {
  return typeof value === 'object' && value !== null && 'parts' in value;
}

export function toBoolean(value: Value): boolean {
  if (value === null) return false;
  return typeof value === 'object' || Boolean(value);
}

/** As text; lists and objects have none. */
export function toText(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (isVersion(value)) return value.parts.join('.');
  return typeof value === 'object' ? '' : String(value);
}

export function equal(left: Value, right: Value): boolean {
  if (left === null) return right === null || right === '';
  return compare(left, right) === 0;
}

/**
 * Below 0, 0 or above it; the right value is converted to the type of the left one.
 *
 * @throws ExpressionError where it has no value of that type
 */
export function order(left: Value, right: Value): number {
  const result = compare(left ?? '', right);
  if (result === undefined) {
    throw new ExpressionError(`'${toText(left)}' and '${toText(right)}' cannot be compared: they are of different types.`);
  }
  return result;
}

/** Plain data for JSON, with numbers and booleans where the value has them. */
export function toPlain(value: Value): unknown {
  if (value instanceof ListValue) return value.items().map(toPlain);
  if (value instanceof ObjectValue) return Object.fromEntries([...value.entries()].map(([key, entry]) => [key, toPlain(entry)]));
  return isVersion(value) ? toText(value) : value;
}

function toNumber(from: Value): number | undefined {
  if (from === null) return 0;
  if (typeof from === 'boolean') return from ? 1 : 0;
  if (typeof from === 'number') return from;
  if (typeof from !== 'string') return undefined;
  if (from.trim() === '') return 0;
  return /^\s*[-+]?[\d,]*\.?\d+(?:[eE][-+]?\d+)?\s*$/.test(from) ? Number(from.replaceAll(',', '')) : undefined;
}

function toVersion(from: Value): Version | undefined {
  if (isVersion(from)) return from;
  if (typeof from !== 'string' && typeof from !== 'number') return undefined;
  const text = String(from).trim();
  return /^\d+(?:\.\d+){1,3}$/.test(text) ? { parts: text.split('.').map(Number) } : undefined;
}

function compareVersions(left: Version, right: Version): number {
  for (let part = 0; part < 4; part++) {
    // A part that is not given sorts below 0, as in .NET's Version.
    const difference = (left.parts[part] ?? -1) - (right.parts[part] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The order of two values of the left one's type; undefined where the right one has no value of that type. */
function compare(left: Value, right: Value): number | undefined {
  if (typeof left === 'boolean') return Number(left) - Number(toBoolean(right));
  if (typeof left === 'number') {
    const number = toNumber(right);
    return number === undefined ? undefined : left - number;
  }
  if (isVersion(left)) {
    const version = toVersion(right);
    return version && compareVersions(left, version);
  }
  if (typeof left === 'string') {
    if (right instanceof ListValue || right instanceof ObjectValue) return undefined;
    const [a, b] = [left.toUpperCase(), toText(right).toUpperCase()];
    return a === b ? 0 : a < b ? -1 : 1;
  }
  return undefined;
}
