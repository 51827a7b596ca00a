const MASK = '***';

/**
 * Hides secrets in lines of the log as the agent does: literally and line by line. A secret with a line break is
 * therefore never found as a whole; who sets it registers its lines.
 */
export class SecretMask {
  readonly #values = new Set<string>();

  /** Registers a value, and the forms in which tools print it: trimmed, unquoted, escaped, in base64. */
  add(secret: string): void {
    for (const form of formsOf(secret)) this.#values.add(form);
  }

  apply(line: string): string {
    const hidden: [from: number, to: number][] = [];
    for (const value of this.#values) {
      for (let at = line.indexOf(value); at >= 0; at = line.indexOf(value, at + 1)) hidden.push([at, at + value.length]);
    }
    if (hidden.length === 0) return line;

    // Ranges that overlap are hidden as one: masking one by one would leave the rest of the other readable.
    hidden.sort((a, b) => a[0] - b[0]);
    let masked = '';
    let shownFrom = 0;
    let hiddenTo = -1;
    for (const [from, to] of hidden) {
      if (from > hiddenTo) masked += line.slice(shownFrom, from) + MASK;
      hiddenTo = Math.max(hiddenTo, to);
      shownFrom = hiddenTo;
    }
    return masked + line.slice(shownFrom);
  }
}

function formsOf(secret: string): Set<string> {
  const plain = new Set([secret, secret.trim()]);
  for (const quote of ['"', "'"]) {
    if (secret.length > 2 && secret.startsWith(quote) && secret.endsWith(quote)) plain.add(secret.slice(1, -1));
  }
  const forms = new Set<string>();
  for (const value of plain) {
    forms.add(value);
    forms.add(value.replaceAll('%', '%AZP25').replaceAll('\r', '%0D').replaceAll('\n', '%0A'));
    forms.add(Buffer.from(value, 'utf8').toString('base64'));
  }
  forms.delete('');
  return forms;
}
