/** Writes Postman collections the short way. */

export interface ItemSketch {
  readonly name: string;
  readonly url?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly auth?: object;
  readonly before?: string;
  readonly test?: string;
  /** Makes it a folder. */
  readonly items?: readonly ItemSketch[];
}

export function collection(name: string, items: readonly ItemSketch[], more: object = {}): object {
  return {
    info: { name, schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json' },
    item: items.map(item),
    ...more,
  };
}

function item({ name, url, method = 'GET', headers = {}, body, auth, before, test, items }: ItemSketch): object {
  const event = [
    ...(before ? [script('prerequest', before)] : []),
    ...(test ? [script('test', test)] : []),
  ];
  if (items) return { name, item: items.map(item), event };
  const header = Object.entries(headers).map(([key, value]) => ({ key, value }));
  return { name, event, request: { method, url, header, ...(body ? { body: { mode: 'raw', raw: body } } : {}), ...(auth ? { auth } : {}) } };
}

function script(listen: string, exec: string): object {
  return { listen, script: { type: 'text/javascript', exec: exec.split('\n') } };
}

export function environment(values: Record<string, string>, secrets: Record<string, string> = {}): object {
  return {
    name: 'environment of the test',
    values: [
      ...Object.entries(values).map(([key, value]) => ({ key, value, type: 'default', enabled: true })),
      ...Object.entries(secrets).map(([key, value]) => ({ key, value, type: 'secret', enabled: true })),
    ],
  };
}
