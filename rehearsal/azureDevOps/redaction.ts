const SECRET_NAME = /(pass(word)?|secret|token|api[-_]?key|credential)$/i;

/** A copy of a request's body in which the values of secrets are stars: those marked `isSecret`, and by their names. */
export function redacted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const secret = entries.some(([name, one]) => name.toLowerCase() === 'issecret' && one === true);
  return Object.fromEntries(
    entries.map(([name, one]) => [name, (secret && name.toLowerCase() === 'value') || (typeof one === 'string' && SECRET_NAME.test(name)) ? '***' : redacted(one)]),
  );
}
