import { argsOf, DockerfileError, listOf, pairsOf, type Instruction } from './dockerfile';
import { expandWord, type Lookup } from './dockerfileWords';
import type { ContainerConfig } from './image';
import type { Log } from './log';

/** ARGs of a stage that have been declared so far, with the values they have. */
export class BuildArguments {
  private readonly declared = new Map<string, string | undefined>();

  constructor(
    private readonly given: ReadonlyMap<string, string>,
    private readonly metaArgs: ReadonlyMap<string, string | undefined>,
    private readonly predefined: ReadonlyMap<string, string>,
  ) {}

  declare(instruction: Instruction, lookup: Lookup): void {
    for (const [name, preset] of argsOf(instruction)) {
      const value = this.given.get(name) ?? (preset === undefined ? (this.metaArgs.get(name) ?? this.predefined.get(name)) : expandWord(preset, lookup));
      this.declared.set(name, value);
    }
  }

  get(name: string): string | undefined {
    return this.declared.get(name);
  }

  /** What has been declared so far, to go on with apart. */
  copy(): BuildArguments {
    const copy = new BuildArguments(this.given, this.metaArgs, this.predefined);
    for (const [name, value] of this.declared) copy.declared.set(name, value);
    return copy;
  }

  entries(): [string, string][] {
    return [...this.declared].flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]]));
  }
}

/** A variable as instructions see it: the image's environment, then ARGs. */
export function stageLookup(config: ContainerConfig, args: BuildArguments): Lookup {
  return (name) => environmentOf(config)[name] ?? args.get(name);
}

export function environmentOf({ Env = [] }: ContainerConfig): Record<string, string> {
  return Object.fromEntries(Env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}

/** Instructions that change the configuration alone, save WORKDIR, which makes a folder too. */
export const metadataKeywords: ReadonlySet<string> = new Set(['ARG', 'CMD', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'HEALTHCHECK', 'LABEL', 'ONBUILD', 'SHELL', 'STOPSIGNAL', 'USER', 'VOLUME']);

/** Carries out an instruction of those. */
export function applyMetadata(config: ContainerConfig, instruction: Instruction, args: BuildArguments, log: Log, onVolume?: (volume: string) => void): void {
  const lookup = stageLookup(config, args);
  const { keyword, text, json } = instruction;
  const words = (): string[] => listOf(instruction).map((word) => (json ? word : expandWord(word, lookup)));
  switch (keyword) {
    case 'ARG':
      return args.declare(instruction, lookup);
    case 'ENV':
      for (const [name, value] of pairsOf(instruction, lookup)) setVariable(config, name, value);
      return;
    case 'LABEL':
      for (const [name, value] of pairsOf(instruction, lookup)) {
        log.info(`Applying label ${name}=${value}`);
        config.Labels = { ...config.Labels, [name]: value };
      }
      return;
    case 'EXPOSE':
      log.info('Cmd: EXPOSE');
      for (const port of words().sort()) {
        const full = port.includes('/') ? port : `${port}/tcp`;
        log.info(`Adding exposed port: ${full}`);
        config.ExposedPorts = { ...config.ExposedPorts, [full]: {} };
      }
      return;
    case 'USER':
      log.info('Cmd: USER');
      config.User = expandWord(text, lookup);
      return;
    case 'VOLUME':
      log.info('Cmd: VOLUME');
      for (const volume of words()) {
        log.info(`Adding volume ${volume} to ignorelist`);
        config.Volumes = { ...config.Volumes, [volume]: {} };
        onVolume?.(volume);
      }
      return;
    case 'CMD':
      config.Cmd = commandOf(config, instruction);
      return;
    case 'ENTRYPOINT':
      config.Entrypoint = commandOf(config, instruction);
      return;
    case 'SHELL':
      config.Shell = [...(json ?? [])];
      return;
    case 'STOPSIGNAL':
      log.info('Cmd: STOPSIGNAL');
      config.StopSignal = expandWord(text, lookup);
      log.info(`Replacing StopSignal in config with ${config.StopSignal}`);
      return;
    case 'ONBUILD':
      log.info('Cmd: ONBUILD');
      log.info(`Args: ${text}`);
      config.OnBuild = [...(config.OnBuild ?? []), text];
      return;
    case 'HEALTHCHECK':
      config.Healthcheck = healthcheckOf(instruction);
      return;
    default:
      throw new DockerfileError(`dockerfile parse error on line ${instruction.line}: unknown instruction: ${keyword}`);
  }
}

/** The words of the JSON form, or the text for the shell. */
export function commandOf(config: ContainerConfig, { json, text }: Instruction): string[] {
  return json ? [...json] : [...(config.Shell ?? ['/bin/sh', '-c']), text];
}

function setVariable(config: ContainerConfig, name: string, value: string): void {
  const others = config.Env ?? [];
  const at = others.findIndex((entry) => entry.startsWith(`${name}=`));
  const entry = `${name}=${value}`;
  config.Env = at < 0 ? [...others, entry] : others.with(at, entry);
}

const nanoseconds: Record<string, number> = { h: 3_600e9, m: 60e9, s: 1e9, ms: 1e6, us: 1e3, ns: 1 };

function healthcheckOf(instruction: Instruction): NonNullable<ContainerConfig['Healthcheck']> {
  const [, kind = '', command = ''] = /^(\S+)\s*(.*)$/s.exec(instruction.text) ?? [];
  if (kind.toUpperCase() === 'NONE') return { Test: ['NONE'] };
  const json = command.startsWith('[') ? (JSON.parse(command) as string[]) : undefined;
  const flag = (name: string): string | undefined => instruction.flags.find(([key]) => key === name)?.[1];
  const duration = (name: string): number | undefined => {
    const parts = [...(flag(name) ?? '').matchAll(/([\d.]+)(h|ms|us|ns|m|s)/g)];
    return parts.length > 0 ? parts.reduce((sum, [, number, unit]) => sum + Number(number) * (nanoseconds[unit ?? ''] ?? 0), 0) : undefined;
  };
  const times = { Interval: duration('interval'), Timeout: duration('timeout'), StartPeriod: duration('start-period'), StartInterval: duration('start-interval'), Retries: flag('retries') === undefined ? undefined : Number(flag('retries')) };
  return { Test: json ? ['CMD', ...json] : ['CMD-SHELL', command], ...Object.fromEntries(Object.entries(times).filter(([, value]) => value !== undefined)) };
}
