/** A logging command as tasks print it (task-lib's escaping). */
export function loggingCommand(name: string, properties: Readonly<Record<string, string>>, data: string): string {
  const encoded = Object.entries(properties)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${encode(value).replaceAll(';', '%3B').replaceAll(']', '%5D')}`);
  return `##vso[${[name, encoded.join(';')].filter(Boolean).join(' ')}]${encode(data)}`;
}

function encode(text: string): string {
  return text.replaceAll('%', '%AZP25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}
