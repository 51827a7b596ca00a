/** Lines of one step, each with the time at which it was written, as the services keep them. */
export class RunLog {
  /** 0 until the log has been uploaded. */
  id = 0;
  readonly lines: string[] = [];
  readonly createdOn: number;
  lastChangedOn: number;

  constructor(private readonly now: () => number) {
    this.createdOn = now();
    this.lastChangedOn = this.createdOn;
  }

  write(line: string): void {
    this.lastChangedOn = this.now();
    this.lines.push(`${new Date(this.lastChangedOn).toISOString().replace('Z', '0000Z')} ${line}`);
  }

  /** Both from 1, both included; beyond the end there is nothing, and no error. */
  range(startLine: number | undefined, endLine: number | undefined): string[] {
    return this.lines.slice(Math.max((startLine ?? 1) - 1, 0), endLine);
  }
}
