/** Looks a variable up; undefined where it is not set. */
export type Lookup = (name: string) => string | undefined;

/**
 * Expands one word as the Dockerfile reference says: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, quotes
 * removed, a backslash takes the next sign as it is.
 */
export function expandWord(word: string, lookup: Lookup): string {
  let result = '';
  for (let at = 0; at < word.length; ) {
    const sign = word[at] ?? '';
    if (sign === "'") {
      const end = word.indexOf("'", at + 1);
      const stop = end < 0 ? word.length : end;
      result += word.slice(at + 1, stop);
      at = stop + 1;
    } else if (sign === '"') {
      const end = closingQuote(word, at + 1);
      result += expandQuoted(word.slice(at + 1, end), lookup);
      at = end + 1;
    } else if (sign === '\\') {
      result += word[at + 1] ?? '';
      at += 2;
    } else if (sign === '$') {
      const [text, length] = variable(word.slice(at), lookup);
      result += text;
      at += length;
    } else {
      result += sign;
      at += 1;
    }
  }
  return result;
}

function closingQuote(word: string, from: number): number {
  for (let at = from; at < word.length; at++) {
    if (word[at] === '\\') at += 1;
    else if (word[at] === '"') return at;
  }
  return word.length;
}

function expandQuoted(text: string, lookup: Lookup): string {
  let result = '';
  for (let at = 0; at < text.length; ) {
    const sign = text[at] ?? '';
    const next = text[at + 1] ?? '';
    if (sign === '\\' && ['"', '$', '\\'].includes(next)) {
      result += next;
      at += 2;
    } else if (sign === '$') {
      const [value, length] = variable(text.slice(at), lookup);
      result += value;
      at += length;
    } else {
      result += sign;
      at += 1;
    }
  }
  return result;
}

/** @returns the value of the reference at the start of the text, and how long the reference is */
function variable(text: string, lookup: Lookup): [value: string, length: number] {
  const plain = /^\$(\w+)/.exec(text);
  if (plain) return [lookup(plain[1] ?? '') ?? '', plain[0].length];
  const braced = /^\$\{(\w+)(?:(:?[-+])([^}]*))?\}/.exec(text);
  if (!braced) return ['$', 1];
  const [whole, name = '', operator, word = ''] = braced;
  const value = lookup(name);
  const isSet = operator?.startsWith(':') ? Boolean(value) : value !== undefined;
  if (operator?.endsWith('-')) return [isSet ? (value ?? '') : expandWord(word, lookup), whole.length];
  if (operator?.endsWith('+')) return [isSet ? expandWord(word, lookup) : '', whole.length];
  return [value ?? '', whole.length];
}

/** Splits at blanks that are not quoted; the quotes stay. */
export function splitWords(text: string): string[] {
  return text.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"?|'[^']*'?)+/gs) ?? [];
}
