const MASK = '***';
/** Shorter values would blot out ordinary text; the agent's own masker leaves them alone as well. */
const SHORTEST_SECRET = 3;
/** Values seen in traffic may be short and common words, such as a cookie's `1` or `true`. */
const SHORTEST_OBSERVED = 6;
/** A service may hand out a fresh cookie with each answer: the latest ones are enough, and cost stays flat. */
const MOST_OBSERVED = 100;

/** An HTTP header as newman gives it. */
export interface Header {
  readonly key: string;
  readonly value: string;
}

/** Takes secrets out of text: known ones, and those seen in the headers of requests and answers. */
export class Redactor {
  private readonly known = new Map<string, string[]>();
  /** The latest last. They change with each request, so they are looked for one by one and not by one pattern. */
  private readonly observed = new Map<string, string[]>();
  private pattern: RegExp | undefined;
  private stale = true;

  constructor(secrets: Iterable<string> = []) {
    for (const secret of secrets) this.add(secret);
  }

  /** Adds a secret for good. */
  add(secret: string): void {
    for (const value of [secret, ...secret.split(/\r?\n/)].map((line) => line.trim())) {
      if (value.length < SHORTEST_SECRET || this.known.has(value)) continue;
      this.known.set(value, writtenForms(value));
      this.stale = true;
    }
  }

  /** Learns the values of credentials and cookies from a request's or an answer's headers. */
  observe(headers: Iterable<Header>): void {
    for (const header of headers) for (const value of credentialsIn(header)) this.remember(value);
  }

  redact(text: string): string {
    if (this.stale) {
      const forms = [...this.known.values()].flat().sort((a, b) => b.length - a.length);
      this.pattern = forms.length > 0 ? new RegExp(forms.map(escapeForRegExp).join('|'), 'g') : undefined;
      this.stale = false;
    }
    let redacted = this.pattern ? text.replace(this.pattern, MASK) : text;
    for (const forms of this.observed.values()) {
      for (const form of forms) if (redacted.includes(form)) redacted = redacted.replaceAll(form, MASK);
    }
    return redacted;
  }

  /** The address with its query values, user and password masked, and secrets taken out of the rest. */
  redactUrl(url: string): string {
    const [address = '', ...fragments] = url.split('#');
    const mark = address.indexOf('?');
    const path = mark < 0 ? address : address.slice(0, mark);
    const query = mark < 0 ? '' : address.slice(mark + 1);
    const masked = query
      .split('&')
      .map((pair) => (pair.includes('=') ? `${pair.slice(0, pair.indexOf('='))}=${MASK}` : pair))
      .join('&');
    const anonymous = path.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, `$1${MASK}@`);
    return this.redact(anonymous + (mark < 0 ? '' : `?${masked}`) + (fragments.length > 0 ? `#${MASK}` : ''));
  }

  private remember(value: string): void {
    if (value.length < SHORTEST_OBSERVED || this.known.has(value)) return;
    const forms = this.observed.get(value) ?? writtenForms(value);
    this.observed.delete(value);
    this.observed.set(value, forms);
    const oldest = this.observed.keys().next().value;
    if (this.observed.size > MOST_OBSERVED && oldest !== undefined) this.observed.delete(oldest);
  }
}

/** How a value may stand in a message: as it is, and as JSON, a query, base64 or XML write it. */
function writtenForms(value: string): string[] {
  return [
    ...new Set([
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      new URLSearchParams([['', value]]).toString().slice(1),
      Buffer.from(value).toString('base64'),
    ]),
  ];
}

function credentialsIn({ key, value }: Header): string[] {
  const name = key.toLowerCase();
  if (name === 'cookie') return value.split(';').map(cookieValue);
  if (name === 'set-cookie') return [cookieValue(value.split(';')[0] ?? '')];
  // Postman marks each request with a random postman-token, which is no credential.
  if (name === 'postman-token' || !/authorization|token|secret|password|api-?key/.test(name)) return [];
  const [scheme = '', credentials] = splitOnce(value, ' ');
  if (credentials === undefined) return [value];
  const pair = scheme.toLowerCase() === 'basic' ? Buffer.from(credentials, 'base64').toString() : '';
  return [value, credentials, ...(splitOnce(pair, ':')[1] ? [pair, splitOnce(pair, ':')[1] ?? ''] : [])];
}

function cookieValue(pair: string): string {
  return (splitOnce(pair, '=')[1] ?? '').trim();
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length).trim()];
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
