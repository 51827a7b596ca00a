import { constants, existsSync, statSync } from 'node:fs';
import { access, copyFile, cp, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { maySetVariable, setMasked, type JobState, type StepState } from './jobState';
import type { DetailRecord } from './job';
import { looksLikeCommand, parseLoggingCommand, type LoggingCommand } from './loggingCommand';
import type { RunRecord } from './runRecord';
import { isTaskResult, type TaskResult } from './taskResult';

/** What the commands of a run act on. */
export interface CommandContext {
  readonly job: JobState;
  readonly step: StepState;
  readonly run: RunRecord;
  /** Work that goes on behind the run and is waited for at its end; a rejection fails the run. */
  readonly background: Promise<void>[];
  /** Uploads of attachments: begun only after the process has ended, as from the agent's queue. Never fail the run. */
  readonly uploads: (() => Promise<void>)[];
  /** `task.complete … done=true` came: the run ends soon, whether its process lives or not. */
  readonly endSoon: () => void;
}

/** Gets the properties' names in lower case. */
type CommandAction = (command: LoggingCommand, context: CommandContext) => void;

/** Takes a line of output: runs the command in it, or writes it to the log. */
export function takeLine(line: string, context: CommandContext): void {
  const { job, run } = context;
  const command = parseLoggingCommand(line, job.isOn('DECODE_PERCENTS', true));
  if (!command) {
    if (looksLikeCommand(line)) {
      run.warning(`'${line}' contains a logging command keyword '##vso', but it is not a legal command.`);
    }
    run.write(line);
    return;
  }
  const area = AREAS[command.area];
  if (!area) {
    run.warning(`Cannot find a command extension for '##vso[${command.area}.command]'.`);
    return;
  }
  if (area.hostTypes && !area.hostTypes.includes(job.job.hostType)) {
    run.error(`The area '${command.area}' of logging commands is not supported where the host type is ${job.job.hostType}.`);
    run.commandFailed = true;
    return;
  }
  try {
    const action = area.commands[command.event];
    if (!action) throw new Error(`##vso[${command.area}.${command.event}] is not a recognized command.`);
    if (context.step.restrictedCommands && !UNRESTRICTED.has(`${command.area}.${command.event}`)) {
      run.warning(`The command ##vso[${command.area}.${command.event}] is not allowed in this step: its commands are restricted.`);
    } else {
      const properties = Object.entries(command.properties).map(([name, value]) => [name.toLowerCase(), value]);
      action({ ...command, properties: Object.fromEntries(properties) as Record<string, string> }, context);
    }
  } catch (error) {
    run.error(`Unable to process command '${line}' successfully.`);
    run.error((error as Error).message);
    run.commandFailed = true;
  }
}

/** Commands that a restricted step may still use (TaskRestrictionsChecker.cs). */
const UNRESTRICTED = new Set([
  'task.complete', 'task.logissue', 'task.issue', 'task.setprogress', 'task.logdetail', 'task.setvariable',
  'task.settaskvariable', 'task.setsecret', 'task.debug', 'task.prependpath', 'telemetry.publish',
]);

const DETAIL_STATES: readonly string[] = ['Pending', 'InProgress', 'Completed'] satisfies DetailRecord['state'][];
const TEST_RESULT_TYPES = ['JUnit', 'NUnit', 'VSTest', 'XUnit', 'CTest', 'ContainerStructure'];
const GUID = /^\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i;

const TASK_COMMANDS: Readonly<Record<string, CommandAction>> = {
  complete({ properties, data }, { run, endSoon }) {
    const result = properties['result'] ?? '';
    if (!isTaskResult(result)) throw new Error(`Command doesn't have valid result value: '${result}'.`);
    run.complete(result);
    run.progress(100, data);
    if (isTrue(properties['done'])) endSoon();
  },

  logissue: logIssue,
  issue: logIssue,

  setprogress({ properties, data }, { run }) {
    const value = properties['value'] ?? '';
    run.progress(/^\s*[-+]?\d+\s*$/.test(value) ? Number(value) : 0, data);
  },

  logdetail({ properties, data }, { run }) {
    const id = guid(properties['id'], 'Can not update timeline record, timeline record id is not provided.');
    const parentId =
      properties['parentid'] === undefined ? undefined : guid(properties['parentid'], 'The parent id is not a GUID.');
    const known = run.details.get(id);
    if (known && parentId !== undefined && parentId !== known.parentId) {
      throw new Error('Can not change the parent timeline record of an existing timeline record.');
    }
    if (!known && parentId !== undefined && !run.details.has(parentId)) {
      throw new Error('The parent timeline record has not been created for this new timeline record.');
    }
    const name = properties['name'] ?? known?.name;
    const type = properties['type'] ?? known?.type;
    if (!name) throw new Error('Name is required for this new timeline record.');
    if (!type) throw new Error('Type is required for this new timeline record.');
    const asked = properties['state'];
    const fallback = known?.state ?? 'InProgress';
    const state =
      asked === undefined ? fallback : DETAIL_STATES.includes(asked) ? (asked as DetailRecord['state']) : 'Pending';
    const progress = properties['progress'];
    run.details.set(id, {
      id,
      parentId: parentId ?? known?.parentId,
      name,
      type,
      state,
      progress: progress && /^\d+$/.test(progress) ? Math.min(100, Number(progress)) : state === 'Completed' ? 100 : known?.progress,
      result: detailResult(properties['result']) ?? known?.result,
      operation: data || known?.operation,
    });
  },

  setvariable({ properties, data }, { job, step, run }) {
    const name = required(properties, 'variable', 'task.setvariable');
    if (!maySetVariable(step, name)) {
      run.warning(`Setting variable '${name}' has been disabled by the restrictions of the task or of the step.`);
      return;
    }
    const secret = isTrue(properties['issecret']);
    if (secret && data.includes('\n') && !job.isOn('SYSTEM_UNSAFEALLOWMULTILINESECRET')) {
      throw new Error('Secrets cannot contain multiple lines');
    }
    const isOutput = isTrue(properties['isoutput']) || step.declaredOutputs.has(name.toLowerCase());
    const fullName = isOutput ? `${step.name}.${name}` : name;
    // The agent looks at the name as it was written, so a retry may set its output variables again.
    if (job.variables.isReadOnly(name)) {
      if (job.isOn('agent.readOnlyVariables')) {
        throw new Error(`Overwriting readonly variable '${name}' is not permitted.`);
      }
      run.warning(`Overwriting readonly variable '${name}'. This behavior will be disabled in the future.`);
    }
    setMasked(job.variables, job.mask, {
      name: fullName,
      value: data,
      secret,
      readOnly: isOutput || isTrue(properties['isreadonly']),
      preserveCase: isTrue(properties['preservecase']),
    });
    if (isOutput) run.outputVariables[name] = job.mask.apply(data);
    run.variableSet(fullName, data);
  },

  settaskvariable({ properties, data }, { job, step, run }) {
    const name = required(properties, 'variable', 'task.settaskvariable');
    if (step.taskVariables.isReadOnly(name)) {
      run.warning(`Overwriting readonly task variable '${name}'. This behavior will be disabled in the future.`);
    }
    setMasked(step.taskVariables, job.mask, {
      name,
      value: data,
      secret: isTrue(properties['issecret']),
      readOnly: isTrue(properties['isreadonly']),
      preserveCase: isTrue(properties['preservecase']),
    });
  },

  setsecret({ data }, { job }) {
    job.mask.add(data);
  },

  uploadsummary({ data }, context) {
    if (data === '') throw new Error('Cannot upload summary file, summary file location is not specified.');
    attach('Distributedtask.Core.Summary', basename(data), data, context);
  },

  uploadfile({ data }, context) {
    if (data === '') throw new Error('Cannot upload task attachment file, attachment file location is not specified.');
    attach('Distributedtask.Core.FileAttachment', basename(data), data, context);
  },

  addattachment({ properties, data }, context) {
    const type = required(properties, 'type', 'task.addattachment');
    attach(type, required(properties, 'name', 'task.addattachment'), data, context);
  },

  debug({ data }, { run }) {
    run.debug(data);
  },

  prependpath({ data }, { job, step, run }) {
    if (!maySetVariable(step, 'PATH')) {
      run.warning("Setting variable 'PATH' has been disabled by the restrictions of the task or of the step.");
      return;
    }
    if (data === '') throw new Error('Required data is missing in ##vso[task.prependpath] command.');
    const before = job.prependedPaths.indexOf(data);
    if (before >= 0) job.prependedPaths.splice(before, 1);
    job.prependedPaths.push(data);
  },

  setendpoint({ properties, data }, { job }) {
    const id = guid(properties['id'], "Required field 'id' is missing in ##vso[task.setendpoint] command.");
    const field = required(properties, 'field', 'task.setendpoint');
    const connection = job.connections.get(id);
    if (!connection) throw new Error(`There is no service connection with the id ${id} in this job.`);
    if (field.toLowerCase() === 'url') {
      if (!URL.canParse(data)) throw new Error('Invalid endpoint URL.');
      job.connections.set(id, { ...connection, url: data });
      return;
    }
    const key = required(properties, 'key', 'task.setendpoint');
    if (field.toLowerCase() === 'dataparameter') {
      job.connections.set(id, { ...connection, data: { ...connection.data, [key]: data } });
    } else if (field.toLowerCase() === 'authparameter') {
      job.mask.add(data);
      job.connections.set(id, { ...connection, authorization: { ...connection.authorization, [key]: data } });
    } else {
      throw new Error(`Unknown endpoint field '${field}' in ##vso[task.setendpoint] command.`);
    }
  },
};

interface CommandArea {
  /** Undefined: all. */
  readonly hostTypes?: readonly ('build' | 'release')[];
  readonly commands: Readonly<Record<string, CommandAction>>;
}

const AREAS: Readonly<Record<string, CommandArea>> = {
  task: { commands: TASK_COMMANDS },
  results: { commands: { publish: publishResults } },
  telemetry: { commands: { publish: () => undefined } },
  artifact: {
    commands: {
      upload({ properties, data }, context) {
        const name = required(properties, 'artifactname', 'artifact.upload');
        if (context.job.job.hostType !== 'build') {
          throw new Error(`Uploading build artifacts is not supported where the host type is ${context.job.job.hostType}.`);
        }
        if (!existsSync(data)) throw new Error(`Path does not exist: ${data}`);
        const target = join(context.job.recordsDirectory, 'artifacts', fileName(properties['containerfolder'] ?? name));
        later(uploadArtifact(name, data, target, context), context);
      },
      associate({ properties, data }, { job }) {
        const name = required(properties, 'artifactname', 'artifact.associate');
        if (data === '') throw new Error('Artifact location is required.');
        job.artifacts.push({ name, type: properties['artifacttype'] ?? artifactType(data), location: data });
      },
    },
  },
  build: {
    commands: {
      addbuildtag({ data }, { job }) {
        if (data.trim() === '') throw new Error('Build tag is required.');
        if (!job.variables.get('Build.BuildId')) throw new Error('Build Id is not available.');
        if (!job.buildTags.includes(data.trim())) job.buildTags.push(data.trim());
      },
      updatebuildnumber({ data }, { job }) {
        if (data === '') throw new Error('Build number is required.');
        job.variables.set({ name: 'Build.BuildNumber', value: data, readOnly: true });
      },
      uploadlog({ data }, context) {
        if (data === '' || !existsSync(data)) throw new Error(`Log file '${data}' does not exist.`);
        attach('CustomToolLog', basename(data), data, context);
      },
    },
  },
  release: {
    hostTypes: ['release'],
    commands: {
      updatereleasename({ data }, { job }) {
        if (data === '') throw new Error('Release name is required.');
        job.releaseName = data;
        job.variables.set({ name: 'Release.ReleaseName', value: data, readOnly: true });
      },
    },
  },
};

function logIssue({ properties, data }: LoggingCommand, { run }: CommandContext): void {
  const type = properties['type']?.toLowerCase();
  if (type === undefined) {
    run.warning("Can't create TaskIssue from logging event.");
    return;
  }
  if (type !== 'error' && type !== 'warning') throw new Error(`issue type ${type} is not an expected issue type.`);
  const { sourcepath, linenumber = '', columnnumber = '', code = '' } = properties;
  run.issue(type, sourcepath ? `${sourcepath}(${linenumber},${columnnumber}): ${type} ${code}: ${data}` : data);
}

function publishResults({ properties, data }: LoggingCommand, context: CommandContext): void {
  const given = properties['type'] ?? '';
  const type = TEST_RESULT_TYPES.find((known) => known.toLowerCase() === given.toLowerCase());
  if (!type) throw new Error(`Test results type '${given}' is missing or not known: ${TEST_RESULT_TYPES.join(', ')}.`);
  const files = (properties['resultfiles'] ?? data).split(',').map((file) => file.trim()).filter(Boolean);
  if (files.length === 0) throw new Error('Argument for test results files is missing.');
  const buildId = context.job.variables.get('Build.BuildId') ?? '';
  const title = properties['runtitle'] ?? `${type}_TestResults_${buildId}`;
  const failOnFailed = isTrue(properties['failtaskonfailedtests']);
  later(copyResults(type, title, files, failOnFailed, context), context);
}

function later(work: Promise<void>, { background }: CommandContext): void {
  // It may fail before the run's end looks at it.
  work.catch(() => undefined);
  background.push(work);
}

async function copyResults(
  type: string,
  title: string,
  files: readonly string[],
  failOnFailed: boolean,
  { job, run }: CommandContext,
): Promise<void> {
  const index = run.testResults.length;
  const copies: string[] = [];
  run.testResults.push({ type, title, files: copies });
  const folder = join(job.recordsDirectory, run.info.id, `tests-${String(index)}`);
  let failed = 0;
  for (const [at, file] of files.entries()) {
    try {
      if (!isAbsolute(file)) throw new Error('it is not an absolute path');
      const copy = join(folder, `${String(at)}-${basename(file)}`);
      await mkdir(folder, { recursive: true });
      await copyFile(file, copy);
      copies.push(copy);
      failed += countFailures(await readFile(copy, 'utf8'));
    } catch (error) {
      run.warning(`Failed to publish test results of '${file}': ${(error as Error).message}`);
    }
  }
  if (failOnFailed && failed > 0) throw new Error(`There are one or more test failures detected in result files: ${String(failed)}.`);
}

/** Elements that say a test failed; good for JUnit, which is what the tasks here publish. */
function countFailures(xml: string): number {
  const withoutText = xml.replace(/<!\[CDATA\[[\s\S]*?\]\]>|<!--[\s\S]*?-->/g, '');
  return withoutText.match(/<(?:failure|error)[\s/>]/g)?.length ?? 0;
}

function attach(type: string, name: string, file: string, { job, run, uploads }: CommandContext): void {
  for (const text of [type, name]) {
    if (/[/\0]/.test(text)) throw new Error(`'${text}' contains characters that file names may not have.`);
  }
  if (file === '' || !existsSync(file) || !statSync(file).isFile()) {
    throw new Error('Cannot upload task attachment file, attachment file location is not specified or attachment file not exist on disk.');
  }
  const folder = join(job.recordsDirectory, run.info.id, 'attachments', fileName(type));
  const slot = run.attachments.push({ type, name, file: undefined }) - 1;
  uploads.push(async () => {
    try {
      await access(file, constants.R_OK);
      await mkdir(folder, { recursive: true });
      await copyFile(file, join(folder, name));
      run.attachments[slot] = { type, name, file: join(folder, name) };
    } catch {
      run.write(`Attachment '${name}' is lost: ${file} was gone before it was uploaded.`);
    }
  });
}

async function uploadArtifact(name: string, source: string, target: string, { job, run }: CommandContext): Promise<void> {
  const found = await stat(source);
  if (found.isDirectory() && (await readdir(source)).length === 0) {
    run.warning(`Directory '${source}' is empty. Nothing will be added to build artifact '${name}'.`);
    return;
  }
  await cp(source, found.isDirectory() ? target : join(target, basename(source)), { recursive: true });
  if (!job.artifacts.some((artifact) => artifact.name === name)) {
    job.artifacts.push({ name, type: 'Container', location: target });
  }
}

function artifactType(location: string): string {
  if (location.startsWith('#/')) return 'Container';
  if (location.startsWith('$/')) return 'VersionControl';
  if (location.startsWith('\\\\')) return 'FilePath';
  throw new Error('Artifact type is required.');
}

function required(properties: Readonly<Record<string, string>>, name: string, command: string): string {
  const value = properties[name];
  if (!value) throw new Error(`Required field '${name}' is missing in ##vso[${command}] command.`);
  return value;
}

function guid(text: string | undefined, message: string): string {
  if (!text || !GUID.test(text)) throw new Error(message);
  return text.replace(/[{}]/g, '').toLowerCase();
}

function detailResult(text: string | undefined): TaskResult | undefined {
  if (text === undefined) return undefined;
  return isTaskResult(text) ? text : 'Succeeded';
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && ['true', '1', '$true'].includes(text.trim().toLowerCase());
}

function fileName(text: string): string {
  return text.replace(/[^\w.-]+/g, '_');
}
