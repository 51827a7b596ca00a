/**
 * A failure the user can act on. It is shown as one line, without a stack: what failed, on which object and why
 * (`what`), and what to do next (`remedy`). Everything else that is thrown is taken for a fault of ours and has its
 * stack written to the debug output.
 */
export class UserError extends Error {
  override readonly name = 'UserError';

  constructor(what: string, remedy = '', options?: ErrorOptions) {
    super(oneLine([sentence(what), remedy].filter(Boolean).join(' ')), options);
  }
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ').trim();
}
