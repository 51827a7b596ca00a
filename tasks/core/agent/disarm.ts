/**
 * Makes text from outside harmless to print. The agent looks for `##vso[` anywhere in a line and runs what follows as
 * a command, and the log viewer takes `##[` for formatting; so a pod's log or a test's name could set variables.
 * The agent itself rewrites `##vso` to `**vso` in commit messages; this does the same.
 */
export function disarm(text: string): string {
  return text.replace(/##(?=vso\[|\[)/gi, '**');
}

/** The same for a text that has to stay on one line, with control characters (ANSI colours apart) taken out. */
export function disarmLine(text: string): string {
  return disarm(text.replace(/\s*[\r\n]+\s*/g, ' ').replace(/[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f]/g, '')).trim();
}
