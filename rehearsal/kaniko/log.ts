export type LogLevel = 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'fatal' | 'panic';
export type LogFormat = 'color' | 'text' | 'json';

const levels: readonly LogLevel[] = ['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace'];
const colors: Record<LogLevel, number> = { panic: 31, fatal: 31, error: 31, warning: 33, info: 36, debug: 37, trace: 37 };

/** The level a name means; undefined where it is none. */
export function parseLevel(name: string): LogLevel | undefined {
  const lower = name.toLowerCase();
  return lower === 'warn' ? 'warning' : levels.find((level) => level === lower);
}

/** Writes lines as logrus does in the formats the executor offers. */
export class Log {
  private readonly started = Date.now();

  constructor(
    private readonly write: (text: string) => void,
    private readonly options: { level: LogLevel; format: LogFormat; timestamp: boolean },
  ) {}

  info(message: string): void {
    this.line('info', message);
  }

  warn(message: string): void {
    this.line('warning', message);
  }

  error(message: string): void {
    this.line('error', message);
  }

  private line(level: LogLevel, message: string): void {
    if (levels.indexOf(level) > levels.indexOf(this.options.level)) return;
    const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const { format, timestamp } = this.options;
    if (format === 'json') this.write(`${goJson({ level, msg: message, time })}\n`);
    else if (format === 'text') this.write(`time="${time}" level=${level} msg=${JSON.stringify(message)}\n`);
    else {
      const stamp = timestamp ? time : String(Math.floor((Date.now() - this.started) / 1000)).padStart(4, '0');
      this.write(`\u001b[${colors[level]}m${level.slice(0, 4).toUpperCase()}\u001b[0m[${stamp}] ${message.padEnd(44)} \n`);
    }
  }
}

/** JSON as Go writes it, which escapes what could end a script element. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);
}
