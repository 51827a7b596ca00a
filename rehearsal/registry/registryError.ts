/** An error in the form the distribution specification prescribes. */
export class RegistryError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly detail?: unknown,
    readonly headers: Record<string, string> = {},
    /** Answered instead of the JSON form. */
    private readonly plain?: string,
  ) {
    super(message);
  }

  get body(): string {
    return this.plain ?? `${JSON.stringify({ errors: [{ code: this.code, message: this.message, ...(this.detail === undefined ? {} : { detail: this.detail }) }] })}\n`;
  }
}
