/** A logging command as the agent reads it from a line of output. */
export interface LoggingCommand {
  /** In lower case, like the event: the agent ignores the case of both, and of the properties' names. */
  readonly area: string;
  readonly event: string;
  /** Names as they were written. */
  readonly properties: Readonly<Record<string, string>>;
  readonly data: string;
}

const PREFIX = '##vso[';

/**
 * Reads the first logging command of a line, wherever in the line it stands; undefined where there is none.
 * Rules: Command.cs and CommandStringConvertor.cs of microsoft/azure-pipelines-agent.
 *
 * @param decodePercents the agent's DECODE_PERCENTS knob: off leaves `%AZP25` as it is.
 */
export function parseLoggingCommand(line: string, decodePercents = true): LoggingCommand | undefined {
  const prefix = line.indexOf(PREFIX);
  if (prefix < 0) return undefined;
  const start = prefix + PREFIX.length;
  const end = line.indexOf(']', start);
  if (end < 0) return undefined;

  const head = line.slice(start, end);
  const space = head.indexOf(' ');
  const names = (space < 0 ? head : head.slice(0, space)).split('.');
  const [area, event] = names;
  if (names.length !== 2 || !area || !event) return undefined;

  const properties: Record<string, string> = {};
  for (const pair of space < 0 ? [] : head.slice(space + 1).trim().split(';')) {
    const equals = pair.indexOf('=');
    const value = pair.slice(equals + 1);
    if (equals > 0 && value !== '') properties[pair.slice(0, equals)] = decode(value, decodePercents);
  }
  return {
    area: area.toLowerCase(),
    event: event.toLowerCase(),
    properties,
    data: decode(line.slice(end + 1), decodePercents),
  };
}

/** Whether a line was probably meant as a command but is none: the agent warns of it. */
export function looksLikeCommand(line: string): boolean {
  return line.includes('##vso');
}

function decode(text: string, decodePercents: boolean): string {
  const decoded = text
    .replaceAll('%3B', ';')
    .replaceAll('%0D', '\r')
    .replaceAll('%0A', '\n')
    .replaceAll('%5D', ']');
  return decodePercents ? decoded.replaceAll('%AZP25', '%') : decoded;
}
