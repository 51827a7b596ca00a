/** A part of a text: as it stands, or the inside of `${{ … }}`. */
export type TextPart = { readonly kind: 'text' | 'expression'; readonly text: string };

/** Cuts a text at its template expressions; undefined where one does not end. */
export function templateParts(text: string): TextPart[] | undefined {
  const parts: TextPart[] = [];
  let from = 0;
  for (;;) {
    const open = text.indexOf('${{', from);
    if (open < 0) break;
    const close = endOfExpression(text, open + 3);
    if (close < 0) return undefined;
    if (open > from) parts.push({ kind: 'text', text: text.slice(from, open) });
    parts.push({ kind: 'expression', text: text.slice(open + 3, close).trim() });
    from = close + 2;
  }
  if (from < text.length) parts.push({ kind: 'text', text: text.slice(from) });
  return parts;
}

/** Where `}}` stands outside of quoted text; below 0 where it does not. */
function endOfExpression(text: string, from: number): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "'") quoted = !quoted;
    else if (!quoted && text.startsWith('}}', at)) return at;
  }
  return -1;
}

/** What a key such as `${{ if … }}` does with the value under it. */
export type Directive =
  | { readonly kind: 'if'; readonly test: string }
  | { readonly kind: 'elseif'; readonly test: string }
  | { readonly kind: 'else' | 'insert' }
  | { readonly kind: 'each'; readonly name: string; readonly of: string };

/** Undefined where the key is no directive. */
export function directiveOf(key: string): Directive | undefined {
  const parts = templateParts(key.trim());
  const [only, ...more] = parts ?? [];
  if (only?.kind !== 'expression' || more.length > 0) return undefined;
  if (only.text === 'else' || only.text === 'insert') return { kind: only.text };
  const test = /^(if|elseif)\b\s*(.+)$/s.exec(only.text);
  if (test?.[2] !== undefined) return { kind: test[1] === 'if' ? 'if' : 'elseif', test: test[2] };
  const each = /^each\s+([A-Za-z_]\w*)\s+in\s+(.+)$/s.exec(only.text);
  return each?.[1] !== undefined && each[2] !== undefined ? { kind: 'each', name: each[1], of: each[2] } : undefined;
}
