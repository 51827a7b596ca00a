/** A number that YAML can write and JSON or this program cannot carry; `why` continues "it is …". */
export interface UncarriedNumber {
  readonly why: string;
}

const TRUE = new Set(['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON', 'true', 'True', 'TRUE']);
const FALSE = new Set(['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF', 'false', 'False', 'FALSE']);
const NULL = new Set(['', '~', 'null', 'Null', 'NULL']);
const NOT_FINITE = /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
const INTEGER = /^([-+]?)(0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|[1-9]\d*|0)$/;
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;

/**
 * What an unquoted YAML value is to kubectl: the rules of sigs.k8s.io/yaml, that is go-yaml v2. They are YAML 1.1's
 * (`on` and `yes` are true, `0644` is octal) without dates and sexagesimals (`12:30` is a text), plus `0o644`. Checked
 * against kubectl itself by a test.
 */
export function plainScalarValue(text: string): string | number | boolean | null | UncarriedNumber {
  if (NULL.has(text)) return null;
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  if (NOT_FINITE.test(text)) return { why: 'a number that JSON cannot carry' };
  if (!/^[-+.\d]/.test(text)) return text;
  const digits = text.startsWith('.') ? text : text.replace(/_/g, '');
  const [, sign, magnitude = ''] = INTEGER.exec(digits) ?? [];
  if (sign !== undefined) return integer(sign, magnitude);
  const float = FLOAT.test(digits) ? Number(digits) : NaN;
  return Number.isFinite(float) ? float + 0 : text;
}

function integer(sign: string, magnitude: string): number | UncarriedNumber {
  const value = BigInt(/^0\d/.test(magnitude) ? `0o${magnitude.slice(1)}` : magnitude);
  const number = Number(sign === '-' ? -value : value);
  if (value < 2n ** 64n && BigInt(Math.abs(number)) !== value) return { why: 'a whole number too large to be carried exactly' };
  return number + 0;
}
