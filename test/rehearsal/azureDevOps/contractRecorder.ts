import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import Ajv, { type ValidateFunction } from 'ajv';
import type { AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import type { Exchange } from '../../../rehearsal/azureDevOps/httpFront';

/** Folder with extracts of the official OpenAPI files; docs/development.md says where they come from. */
export const CONTRACT_DIR = process.env.ADO_CONTRACT_DIR ?? '';

const FILES = ['core', 'pipelines', 'build', 'pipelinesApproval', 'pipelinesChecks', 'environments', 'release', 'distributedTaskHub'];

/** Operations that the services have though no specification names them, and where they are known from. */
const UNDOCUMENTED: readonly { method: string; path: RegExp; reason: string }[] = [
  { method: 'GET', path: /^_signin$/i, reason: 'where a refused client is sent to' },
  { method: 'GET', path: /^_apis\/connectionData$/i, reason: 'azure-devops-node-api calls it' },
  { method: 'GET', path: /^[^/]+\/_apis\/build\/builds\/\d+\/timeline$/i, reason: 'the latest timeline: timelineId is marked x-ms-required: false' },
  { method: 'GET', path: /^[^/]+\/_apis\/release\/approvals\/\d+$/i, reason: 'azure-devops-node-api calls it (getApproval)' },
  { method: 'GET', path: /^[^/]+\/_apis\/distributedtask\/environments(\/\d+)?$/i, reason: 'the route of pipelines/environments in 7.1' },
];

/** Operations whose answers are checked by the schema of another one. */
const SAME_ANSWER: readonly { path: RegExp; as: { file: string; definition: string } }[] = [
  { path: /^[^/]+\/_apis\/build\/builds\/\d+\/timeline$/i, as: { file: 'build', definition: 'Timeline' } },
  { path: /^[^/]+\/_apis\/release\/approvals\/\d+$/i, as: { file: 'release', definition: 'ReleaseApproval' } },
];

/** Members that answers carry though the definition does not name them: they stand in the specification's own examples, or in azure-devops-node-api's types. */
const EXTRA_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  ReleaseDefinition: ['url', '_links', 'projectReference'],
  Release: ['url'],
  Artifact: ['sourceId'],
  ReleaseDeployPhase: ['id'],
};

/** Under which the definitions of a file refer to each other. */
const BASE = 'https://contract.invalid/';

/** Definitions that are bags of any names. */
const OPEN = new Set(['ReferenceLinks', 'PropertiesCollection', 'JObject', 'JToken', 'VariableGroupProviderData']);

type Schema = Record<string, unknown>;

interface Operation {
  readonly name: string;
  readonly file: string;
  readonly method: string;
  readonly segments: readonly string[];
  readonly parameters: readonly { name: string; in: string; required?: boolean; type?: string; enum?: readonly string[]; schema?: Schema }[];
  readonly answer: Schema | undefined;
  /** api-version in the cloud's 7.1; null: not there. */
  readonly version71: string | null;
}

interface Specification {
  readonly paths: Record<string, Record<string, { parameters?: Operation['parameters']; responses: Record<string, { schema?: Schema }> }>>;
  readonly 'x-ms-paths'?: Specification['paths'];
  readonly definitions: Record<string, Schema>;
}

/** What speaks against the exchanges seen so far. */
export interface ContractRecorder {
  /** @returns what detaches it */
  attach(simulator: AzureDevOpsSimulator): () => void;
  /** Checks one exchange. */
  check(exchange: Exchange): void;
  /** One line each; without bodies. */
  readonly violations: readonly string[];
  /** Operations that were called, by their names in the specifications. */
  readonly operations: ReadonlySet<string>;
  /** How many exchanges were checked. */
  readonly exchanges: number;
}

/**
 * Checks exchanges with Azure DevOps against its published specifications, with the tolerances that the services are known
 * to need: lists arrive as `{count, value}`, absent values as null, enumerations in any case.
 * @param dir - ADO_CONTRACT_DIR
 */
export async function contractRecorder(dir: string): Promise<ContractRecorder> {
  const availability = JSON.parse(await readFile(path.join(dir, 'availability.json'), 'utf8')) as { rows: [string, string, string, string, string | null][] };
  const operations: Operation[] = [];
  const checkers = new Map<string, (schema: Schema, strict: 'request' | 'answer') => ValidateFunction>();
  for (const file of FILES) {
    const specification = JSON.parse(await readFile(path.join(dir, `${file}.json`), 'utf8')) as Specification;
    checkers.set(file, schemaChecker(specification));
    for (const [route, methods] of Object.entries({ ...specification.paths, ...specification['x-ms-paths'] })) {
      for (const [verb, { parameters = [], responses }] of Object.entries(methods)) {
        const [template = ''] = route.split('?');
        const row = availability.rows.find(([own, name]) => own === file && name === `${verb.toUpperCase()} ${route.replace('/{organization}', '')}`);
        operations.push({
          name: `${verb.toUpperCase()} ${route.replace('/{organization}/', '')}`,
          file,
          method: verb.toUpperCase(),
          segments: template.split('/').filter(Boolean).slice(1),
          parameters,
          answer: responses['200']?.schema,
          version71: row?.[4] ?? null,
        });
      }
    }
  }
  return new Recorder(operations, checkers);
}

class Recorder implements ContractRecorder {
  readonly violations: string[] = [];
  readonly operations = new Set<string>();
  exchanges = 0;

  constructor(
    private readonly known: readonly Operation[],
    private readonly checkers: ReadonlyMap<string, (schema: Schema, strict: 'request' | 'answer') => ValidateFunction>,
  ) {}

  attach(simulator: AzureDevOpsSimulator): () => void {
    return simulator.onExchange((exchange) => this.check(exchange));
  }

  check(exchange: Exchange): void {
    this.exchanges += 1;
    const { method, path: address } = exchange;
    const report = (what: string) => {
      const line = `${method} ${address}${exchange.query ? `?${exchange.query}` : ''}: ${what}`;
      if (!this.violations.includes(line)) this.violations.push(line);
    };
    if (exchange.status >= 400 || exchange.answerType === 'text/html') this.checkRefusal(exchange, report);
    // A path that the service answered with 404 for want of a controller is no operation of the contract.
    const segments = address.split('/').filter(Boolean).map(decodeURIComponent);
    const operation = this.find(method, segments);
    if (!operation) {
      const undocumented = UNDOCUMENTED.some((one) => one.method === method && one.path.test(address));
      if (!undocumented) report('no operation of the specifications');
      const same = SAME_ANSWER.find((one) => one.path.test(address));
      if (undocumented && same && exchange.status === 200) this.checkBody(same.as.file, { $ref: `#/definitions/${same.as.definition}` }, 'answer', exchange.answerBody, report);
      return;
    }
    this.operations.add(operation.name);
    this.checkQuery(operation, exchange, report);
    this.checkRequestBody(operation, exchange, report);
    if (exchange.status === 200 && exchange.answerType !== 'text/html') this.checkAnswer(operation, exchange, report);
  }

  /** The one with the fewest placeholders. */
  private find(method: string, segments: readonly string[]): Operation | undefined {
    return this.known
      .filter((one) => one.method === method && one.segments.length === segments.length)
      .filter((one) => one.segments.every((part, at) => part.startsWith('{') || part.toLowerCase() === segments[at]?.toLowerCase()))
      .sort((one, other) => placeholders(one) - placeholders(other))[0];
  }

  private checkQuery(operation: Operation, { query, apiVersion }: Exchange, report: (what: string) => void): void {
    const parameters = operation.parameters.filter((one) => one.in === 'query');
    const given = [...new URLSearchParams(query)].filter(([name]) => name.toLowerCase() !== 'api-version');
    for (const [name, value] of given) {
      const parameter = parameters.find((one) => one.name.toLowerCase() === name.toLowerCase());
      if (!parameter) report(`unknown query parameter ${name}`);
      else if (parameter.type === 'integer' && !/^-?\d+$/.test(value)) report(`query parameter ${name} is no whole number: ${value}`);
      else if (parameter.type === 'boolean' && !/^(true|false)$/i.test(value)) report(`query parameter ${name} is neither true nor false: ${value}`);
      // Flags may be joined by commas.
      else if (parameter.enum && !value.split(',').every((one) => parameter.enum?.some((known) => known.toLowerCase() === one.trim().toLowerCase()))) report(`query parameter ${name} has an unknown value: ${value}`);
    }
    for (const { name, required } of parameters) {
      if (required && !given.some(([own]) => own.toLowerCase() === name.toLowerCase())) report(`query parameter ${name} is missing`);
    }
    if (apiVersion === undefined) return void report('no api-version');
    if (!apiVersion.startsWith('7.2')) {
      if (operation.version71 === null) report(`the operation does not exist in api-version ${apiVersion}`);
      else if (operation.version71.includes('preview') && !apiVersion.includes('preview')) report(`the operation is a preview in api-version ${apiVersion}`);
    }
  }

  private checkRequestBody(operation: Operation, { requestBody }: Exchange, report: (what: string) => void): void {
    const parameter = operation.parameters.find((one) => one.in === 'body');
    if (requestBody === undefined) {
      // A retry of a whole build is said by the query alone.
      if (parameter?.required && !operation.parameters.some(({ name }) => name === 'retry')) report('the request has no body');
    } else if (!parameter?.schema) report('the operation takes no body');
    else this.checkBody(operation.file, parameter.schema, 'request', requestBody, report);
  }

  private checkAnswer(operation: Operation, { answerBody, answerType }: Exchange, report: (what: string) => void): void {
    const { answer } = operation;
    if (!answer) return;
    if (answer.format === 'Stream' || answer.type === 'string') {
      const lines = answerBody as { count?: unknown; value?: unknown };
      if (answerType === 'application/json' && !(Array.isArray(lines.value) && lines.count === lines.value.length && lines.value.every((line) => typeof line === 'string'))) report('the answer is no list of lines');
      return;
    }
    let body = answerBody;
    if (answer.type === 'array') {
      const { count, value } = (answerBody ?? {}) as { count?: unknown; value?: unknown };
      if (!Array.isArray(value) || count !== value.length) return void report('the answer is no {count, value}');
      body = value;
    }
    this.checkBody(operation.file, answer, 'answer', body, report);
  }

  private checkBody(file: string, schema: Schema, strict: 'request' | 'answer', body: unknown, report: (what: string) => void): void {
    const validate = this.checkers.get(file)?.(schema, strict);
    if (!validate || validate(body)) return;
    for (const { instancePath, message, params } of validate.errors ?? []) {
      const detail = 'additionalProperty' in params ? `: ${String(params.additionalProperty)}` : '';
      report(`${strict} body ${instancePath || '/'} ${message ?? ''}${detail}`);
    }
  }

  private checkRefusal({ status, answerType, answerBody }: Exchange, report: (what: string) => void): void {
    if (answerType === 'text/html') return;
    const names = ['$id', 'innerException', 'message', 'typeName', 'typeKey', 'errorCode', 'eventId'];
    const missing = names.filter((name) => typeof answerBody !== 'object' || answerBody === null || !(name in answerBody));
    if (missing.length > 0) report(`the error answer (${status}) lacks ${missing.join(', ')}`);
  }
}

function placeholders({ segments }: Operation): number {
  return segments.filter((part) => part.startsWith('{')).length;
}

/** Makes validators for parts of one specification. Requests may carry no name that the definition lacks. */
function schemaChecker({ definitions }: Specification): (schema: Schema, strict: 'request' | 'answer') => ValidateFunction {
  const made = new Map<string, ValidateFunction>();
  const ajvs = { request: newAjv(definitions, 'request'), answer: newAjv(definitions, 'answer') };
  return (schema, strict) => {
    const key = `${strict} ${JSON.stringify(schema)}`;
    const known = made.get(key);
    if (known) return known;
    const validate = ajvs[strict].compile(rewritten(schema, strict));
    made.set(key, validate);
    return validate;
  };
}

function newAjv(definitions: Specification['definitions'], strict: 'request' | 'answer'): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true, formats: { int32: true, int64: true, double: true, byte: true, uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'date-time': (text: string) => !Number.isNaN(Date.parse(text)) } });
  ajv.addKeyword({
    keyword: 'caselessEnum',
    validate: (names: readonly string[], value: unknown) => value === null || (typeof value === 'string' && value.split(',').every((one) => names.some((name) => name.toLowerCase() === one.trim().toLowerCase()))),
    error: { message: 'must be one of the allowed values, in any case' },
  });
  for (const [name, definition] of Object.entries(definitions)) ajv.addSchema(definitionSchema(name, definition, definitions, strict), `${BASE}${name}`);
  return ajv;
}

/** Inheritance (`allOf`) is flattened, so that names that no ancestor has are noticed. */
function definitionSchema(name: string, definition: Schema, definitions: Specification['definitions'], strict: 'request' | 'answer'): Schema {
  if (OPEN.has(name)) return {};
  const parts = (definition.allOf as Schema[] | undefined) ?? [];
  const array = parts.find((part) => part.type === 'array');
  if (array) return rewritten(array, strict);
  const properties = propertiesOf(definition, definitions);
  if (Object.keys(properties).length === 0) return rewritten(definition, strict);
  const extra = strict === 'answer' ? Object.fromEntries((EXTRA_MEMBERS[name] ?? []).map((member) => [member, {}])) : {};
  return {
    type: ['object', 'null'],
    properties: { ...extra, ...Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, rewritten(value, strict)])) },
    additionalProperties: false,
  };
}

function propertiesOf(definition: Schema, definitions: Specification['definitions']): Record<string, Schema> {
  const inherited = ((definition.allOf as { $ref?: string }[] | undefined) ?? []).map(({ $ref = '' }) => propertiesOf(definitions[$ref.split('/').at(-1) ?? ''] ?? {}, definitions));
  return Object.assign({}, ...inherited, definition.properties as Record<string, Schema> | undefined) as Record<string, Schema>;
}

/** Nullable, enumerations without case, references to the added definitions. */
function rewritten(schema: Schema, strict: 'request' | 'answer'): Schema {
  if (typeof schema.$ref === 'string') return { $ref: `${BASE}${schema.$ref.split('/').at(-1) ?? ''}` };
  const { type, format, items, additionalProperties } = schema;
  const named = schema.enum as readonly string[] | undefined;
  // .NET's `object`: any value.
  if (type === 'object' && additionalProperties === undefined && schema.properties === undefined) return {};
  return {
    ...(typeof type === 'string' && { type: [type, 'null'] }),
    ...(typeof format === 'string' && !named && format !== 'Stream' && { format }),
    ...(named && { caselessEnum: named }),
    ...(items !== undefined && { items: rewritten(items as Schema, strict) }),
    ...(typeof additionalProperties === 'object' && additionalProperties !== null && { additionalProperties: rewritten(additionalProperties as Schema, strict) }),
  };
}
