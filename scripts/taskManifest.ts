/** The part of a task.json that the checks and the tests read. */
export interface TaskJson {
  readonly id: string;
  readonly name: string;
  readonly friendlyName: string;
  readonly description: string;
  readonly helpMarkDown?: string;
  readonly minimumAgentVersion?: string;
  readonly version: { readonly Major: number; readonly Minor: number; readonly Patch: number };
  readonly instanceNameFormat?: string;
  readonly groups?: readonly { readonly name: string; readonly displayName: string }[];
  readonly inputs: readonly TaskInput[];
  readonly outputVariables?: readonly { readonly name: string; readonly description?: string }[];
  readonly restrictions?: {
    readonly commands?: { readonly mode?: string };
    readonly settableVariables?: { readonly allowed?: readonly string[] };
  };
  readonly prejobexecution?: Handlers;
  readonly execution: Handlers;
  readonly postjobexecution?: Handlers;
}

type Handlers = Readonly<Record<string, { readonly target: string }>>;

export interface TaskInput {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly type: string;
  readonly label: string;
  readonly required?: boolean;
  readonly defaultValue?: string;
  readonly helpMarkDown?: string;
  readonly groupName?: string;
  readonly visibleRule?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly properties?: Readonly<Record<string, unknown>>;
}

const handlers = ['Node20_1', 'Node24'];
const operators = /^\s*(\w+)\s*(=|==|!=|contains|notContains|startsWith|notStartsWith|endsWith|notEndsWith)\s*(.*?)\s*$/i;

/**
 * What is wrong with a task.json beyond its schema, which requires nothing: one line per fault, none where it is sound.
 * @param folder name of the task's folder, which must be the task's name
 * @param files names of the files that are shipped beside it
 */
export function taskManifestFaults(manifest: TaskJson, folder: string, files: readonly string[]): string[] {
  return [
    ...identityFaults(manifest, folder),
    ...handlerFaults(manifest, files),
    ...manifest.inputs.flatMap((input) => inputFaults(input, manifest)),
    ...outputFaults(manifest),
  ];
}

function identityFaults(manifest: TaskJson, folder: string): string[] {
  const faults: string[] = [];
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(manifest.id)) faults.push('id is not a GUID in lower case');
  if (manifest.name !== folder) faults.push(`name is '${manifest.name}', its folder is '${folder}'`);
  if (!manifest.friendlyName || manifest.friendlyName.length > 40) faults.push('friendlyName must have 1 to 40 characters');
  if (!manifest.description) faults.push('description is missing');
  if (!manifest.helpMarkDown) faults.push('helpMarkDown is missing');
  if (manifest.minimumAgentVersion !== '4.248.0') faults.push('minimumAgentVersion must be 4.248.0, the first that runs these handlers');
  const names = new Set(manifest.inputs.map(({ name }) => name));
  if (!manifest.instanceNameFormat) faults.push('instanceNameFormat is missing');
  for (const [, name = ''] of manifest.instanceNameFormat?.matchAll(/\$\((\w+)\)/g) ?? []) {
    if (!names.has(name)) faults.push(`instanceNameFormat names the unknown input ${name}`);
  }
  return faults;
}

function handlerFaults(manifest: TaskJson, files: readonly string[]): string[] {
  const faults: string[] = [];
  for (const phase of ['prejobexecution', 'execution', 'postjobexecution'] as const) {
    const declared = manifest[phase];
    if (declared === undefined) {
      if (phase === 'execution') faults.push('execution is missing');
      continue;
    }
    if (Object.keys(declared).sort().join() !== handlers.join()) faults.push(`${phase} must have the handlers ${handlers.join(' and ')}`);
    const targets = new Set(Object.values(declared).map(({ target }) => target));
    // On a Node24 handler the agent may run Node 20, so both run the same file.
    if (targets.size !== 1) faults.push(`${phase} has different targets`);
    for (const target of targets) if (!files.includes(target)) faults.push(`${phase} names ${target}, which is not there`);
  }
  return faults;
}

function inputFaults(input: TaskInput, manifest: TaskJson): string[] {
  const faults: string[] = [];
  const spelled = manifest.inputs.flatMap(({ name, aliases = [] }) => [name, ...aliases]).map((name) => name.toLowerCase());
  for (const name of [input.name, ...(input.aliases ?? [])]) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) faults.push(`${name}: not in camel case`);
    if (spelled.filter((other) => other === name.toLowerCase()).length > 1) faults.push(`${name}: declared twice`);
  }
  const named = (text: string) => `${input.name}: ${text}`;
  if (!input.label) faults.push(named('label is missing'));
  if (!input.helpMarkDown) faults.push(named('helpMarkDown is missing'));
  if (input.groupName !== undefined && !manifest.groups?.some(({ name }) => name === input.groupName)) {
    faults.push(named(`unknown group ${input.groupName}`));
  }
  if (input.type === 'pickList' && Object.keys(input.options ?? {}).length === 0) faults.push(named('a pickList needs options'));
  if (input.defaultValue && !allows(input, input.defaultValue)) faults.push(named(`the default '${input.defaultValue}' is not a value of it`));
  if (input.visibleRule !== undefined) faults.push(...visibleRuleFaults(input.visibleRule, manifest).map(named));
  return faults;
}

/** The server's parser knows neither parentheses nor `&&` together with `||`; it hides the input instead of complaining. */
function visibleRuleFaults(rule: string, manifest: TaskJson): string[] {
  if (/[()]/.test(rule) || (rule.includes('&&') && rule.includes('||'))) return ['visibleRule has parentheses or mixes && and ||'];
  return rule.split(/&&|\|\|/).flatMap((condition) => {
    const [, name = '', , value = ''] = operators.exec(condition) ?? [];
    const input = manifest.inputs.find((candidate) => candidate.name === name);
    if (input === undefined) return [`visibleRule has no input of this task in '${condition.trim()}'`];
    return value === '' || allows(input, value) ? [] : [`visibleRule compares ${name} with '${value}', which it never is`];
  });
}

function allows(input: TaskInput, value: string): boolean {
  if (input.type === 'boolean') return ['true', 'false'].includes(value);
  if (input.type === 'pickList' && input.properties?.['EditableOptions'] !== 'True') return Object.keys(input.options ?? {}).includes(value);
  return true;
}

function outputFaults(manifest: TaskJson): string[] {
  const faults: string[] = [];
  const outputs = manifest.outputVariables ?? [];
  const settable = manifest.restrictions?.settableVariables?.allowed;
  if (settable === undefined) faults.push('restrictions.settableVariables.allowed is missing: list what the task sets, or nothing');
  // Restricted mode refuses summaries, attachments and test results.
  if (manifest.restrictions?.commands?.mode === 'restricted') faults.push('restrictions.commands.mode must not be restricted');
  for (const { name, description } of outputs) {
    if (!description) faults.push(`output ${name}: description is missing`);
    if (settable && !settable.includes(name)) faults.push(`output ${name}: not among the settable variables`);
    if (outputs.filter((other) => other.name.toLowerCase() === name.toLowerCase()).length > 1) faults.push(`output ${name}: declared twice`);
  }
  return faults;
}
