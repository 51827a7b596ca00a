/** Text styles of a terminal; every one gives the text back as it is where there are no colours. */
export interface TextStyle {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

/** Colours only where a person looks on, and where NO_COLOR (no-color.org) does not forbid them. */
export function textStyle(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): TextStyle {
  const coloured = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  const style =
    (open: number, close: number) =>
    (text: string): string =>
      coloured ? `\u001b[${String(open)}m${text}\u001b[${String(close)}m` : text;
  return { good: style(32, 39), bad: style(31, 39), warn: style(33, 39), strong: style(1, 22), faint: style(2, 22) };
}

/**
 * Makes text from a log harmless: no control characters for the terminal, and nothing that an agent would take for a
 * command where the rehearsal itself runs in a pipeline.
 */
export function harmless(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '').replace(/##(?=vso\[|\[)/g, '# #');
}

/** How many columns a text takes; combining marks take none. */
export function textWidth(text: string): number {
  return [...text.normalize('NFC')].length;
}
