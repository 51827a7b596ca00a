import { readdirSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getLanguageService, parse, type JSONSchema, type PromiseConstructor as ServicePromise } from 'azure-pipelines-language-service';
import { TextDocument } from 'vscode-languageserver-textdocument';

/** The parts of task.json that say how a pipeline may use the task. */
export interface SchemaTask {
  readonly name: string;
  readonly version: { readonly Major: number | string };
  readonly inputs?: readonly {
    readonly name: string;
    readonly aliases?: readonly string[];
    readonly type: string;
    readonly required?: boolean | string;
    readonly visibleRule?: string;
    readonly defaultValue?: unknown;
    readonly options?: Readonly<Record<string, string>>;
    readonly properties?: Readonly<Record<string, string>>;
  }[];
}

/** A fault that the schema of azure-pipelines.yml finds; lines count from 1. */
export interface PipelineFinding {
  readonly line: number;
  readonly message: string;
}

/** Why the official schema is not there to check with; undefined where it is. */
export function missingPipelineSchema(): string | undefined {
  const folder = process.env['ADO_CONTRACT_DIR'];
  if (!folder) return 'set ADO_CONTRACT_DIR to a folder with service-schema.json';
  return existsSync(join(folder, 'service-schema.json')) ? undefined : `there is no service-schema.json in ${folder}`;
}

/** The task.json of each task folder of this project that has one. */
export function projectTasks(folder = join(__dirname, '../../tasks')): SchemaTask[] {
  return readdirSync(folder)
    .map((name) => join(folder, name, 'task.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as SchemaTask);
}

/**
 * Checks a pipeline against the schema that Microsoft's editor extension uses, extended by these tasks.
 *
 * @param publisher with one, tasks are known as `publisher.extension.Name@1` too
 */
export async function pipelineFindings(
  yaml: string,
  tasks: readonly SchemaTask[] = projectTasks(),
  publisher = 'release-guard.release-guard',
): Promise<PipelineFinding[]> {
  const missing = missingPipelineSchema();
  if (missing !== undefined) throw new Error(`A pipeline cannot be checked: ${missing}.`);
  // Read anew for each use: the language service makes the object it is given circular.
  const file = join(process.env['ADO_CONTRACT_DIR'] ?? '', 'service-schema.json');
  const schema = extendSchema(JSON.parse(readFileSync(file, 'utf8')) as PipelineSchema, tasks, publisher);

  const service = getLanguageService(
    () => Promise.resolve(schema as JSONSchema),
    [],
    () => Promise.resolve('pipeline://schema'),
    undefined,
    Promise as unknown as ServicePromise,
  );
  service.configure({ validate: true });
  const document = TextDocument.create('pipeline://azure-pipelines.yml', 'azure-pipelines', 1, yaml);
  const diagnostics = await withoutDebugOutput(async () => await service.doValidation(document, parse(yaml)));
  return diagnostics.map(({ range, message }) => ({
    line: range.start.line + 1,
    message: typeof message === 'string' ? message : message.value,
  }));
}

interface PipelineSchema {
  definitions: {
    task: { anyOf: object[]; properties: { task: { anyOf: object[] } } };
  };
}

/** Adds tasks as the service does for those that an organization has installed. */
function extendSchema(schema: PipelineSchema, tasks: readonly SchemaTask[], publisher: string): PipelineSchema {
  const { task: definition } = schema.definitions;
  for (const task of tasks) {
    const reference = `${task.name}@${String(task.version.Major)}`;
    for (const name of [reference, `${publisher}.${reference}`]) {
      definition.properties.task.anyOf.push({ enum: [name], ignoreCase: 'value' });
      definition.anyOf.push({
        properties: {
          task: { pattern: `^${name.replaceAll('.', '\\.')}$`, ignoreCase: 'value' },
          inputs: inputsSchema(task),
        },
        firstProperty: ['task'],
        required: ['task'],
      });
    }
  }
  return schema;
}

function inputsSchema({ inputs = [] }: SchemaTask): object {
  const properties: Record<string, object> = {};
  for (const { name, aliases, type, options, properties: settings } of inputs) {
    const closed = /^(pickList|radio)$/i.test(type) && options && settings?.['EditableOptions'] !== 'True';
    properties[name] = {
      ...(closed ? { enum: Object.keys(options), ignoreCase: 'all' } : { type: schemaType(type), ignoreCase: 'key' }),
      ...(aliases ? { aliases } : {}),
    };
  }
  // What must be given always: not where a default stands in, nor where a rule may hide the input.
  const required = inputs
    .filter((input) => String(input.required) === 'true' && !input.visibleRule && !input.defaultValue)
    .map(({ name }) => name);
  return { properties, additionalProperties: false, required };
}

function schemaType(type: string): string {
  return type.toLowerCase() === 'boolean' ? 'boolean' : 'string';
}

/** The language service prints what it does; that would stand between the results of tests. */
async function withoutDebugOutput<T>(work: () => Promise<T>): Promise<T> {
  const { log } = console;
  console.log = () => undefined;
  try {
    return await work();
  } finally {
    console.log = log;
  }
}
