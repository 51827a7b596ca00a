import type { FlagValues } from './commandLine';
import { DockerfileError, listOf, type Dockerfile, type Instruction } from './dockerfile';
import { expandWord } from './dockerfileWords';
import type { Log } from './log';

export interface PlannedStage {
  /** As printed: that of the Dockerfile, or counted anew where unused stages were left out. */
  index: number;
  baseName: string;
  /** Position in the plan of the stage it is built on; -1: an image. */
  base: number;
  name?: string;
  instructions: readonly Instruction[];
  /** Built on by a later stage. */
  saved: boolean;
}

export interface StagePlan {
  stages: readonly PlannedStage[];
  /** Positions in the plan by what COPY --from may call them. */
  find(reference: string): number;
  /** Pairs of stages that became one; told once the base images are known. */
  squashed: readonly string[];
}

interface Candidate {
  original: number;
  baseName: string;
  base: number;
  name?: string;
  instructions: readonly Instruction[];
}

/**
 * Which stages are built, and on what.
 * @throws DockerfileError where the target is not there
 */
export function planStages(dockerfile: Dockerfile, values: FlagValues, buildArgs: ReadonlyMap<string, string>, fork: boolean, log: Log): StagePlan {
  const lookup = (name: string): string | undefined => (dockerfile.metaArgs.has(name) ? (buildArgs.get(name) ?? dockerfile.metaArgs.get(name)) : undefined);
  const all: Candidate[] = [];
  for (const [original, { baseName, name, instructions }] of dockerfile.stages.entries()) {
    const expanded = expandWord(baseName, lookup);
    const base = all.findLastIndex((earlier) => earlier.name !== undefined && earlier.name === expanded.toLowerCase());
    all.push({ original, baseName: expanded, base, ...(name === undefined ? {} : { name }), instructions });
  }
  const upTo = all.slice(0, targetIndex(all, values.text('target'), fork) + 1);
  const used = usedStages(upTo);
  const onlyUsed = fork || values.on('skip-unused-stages');
  const chosen = upTo.filter(({ original }) => !onlyUsed || used.has(original));

  const told = fork ? [...chosen].reverse() : chosen;
  for (const { name, baseName } of told) if (name !== undefined) log.info(fork ? `Resolved base name of ${name} to ${baseName}` : `Resolved base name ${baseName} to ${name}`);

  const squashed: string[] = [];
  const merged = fork ? squash(chosen, squashed) : chosen;
  const position = new Map(merged.map(({ original }, index) => [original, index]));
  const stages = merged.map((stage, index): PlannedStage => ({
    index: fork ? stage.original : index,
    baseName: stage.baseName,
    base: stage.base < 0 ? -1 : (position.get(stage.base) ?? -1),
    ...(stage.name === undefined ? {} : { name: stage.name }),
    instructions: stage.instructions,
    saved: merged.some((later) => later.base === stage.original),
  }));
  return {
    stages,
    squashed,
    find: (reference) => {
      const original = /^\d+$/.test(reference) ? Number(reference) : all.findLastIndex(({ name }) => name === reference.toLowerCase());
      return position.get(original) ?? -1;
    },
  };
}

function targetIndex(stages: readonly Candidate[], target: string, fork: boolean): number {
  if (target === '') return stages.length - 1;
  const found = stages.findIndex(({ name, original }) => name === target.toLowerCase() || String(original) === target);
  if (found < 0) throw new DockerfileError(fork ? `error finding target stage: "${target}" is not a valid target build stage` : `Error finding target stage: ${target} is not a valid target build stage`);
  return found;
}

function usedStages(stages: readonly Candidate[]): ReadonlySet<number> {
  const used = new Set<number>();
  const visit = (index: number): void => {
    const stage = stages[index];
    if (!stage || used.has(index)) return;
    used.add(index);
    visit(stage.base);
    for (const from of sourcesOf(stage)) visit(/^\d+$/.test(from) ? Number(from) : stages.findLastIndex(({ name }) => name === from.toLowerCase()));
  };
  visit(stages.length - 1);
  return used;
}

/** What COPY --from names in a stage. */
function sourcesOf({ instructions }: Candidate): string[] {
  return instructions.filter(({ keyword }) => keyword === 'COPY').flatMap(({ flags }) => flags.filter(([name]) => name === 'from').map(([, value]) => value));
}

/** A stage that serves nothing but as the base of one other becomes part of it. */
function squash(stages: readonly Candidate[], told: string[]): Candidate[] {
  let list = [...stages];
  for (const stage of stages) {
    const current = list.find(({ original }) => original === stage.original);
    const base = list.find(({ original }) => original === current?.base);
    if (!current || !base) continue;
    const builtOn = list.filter((other) => other.base === base.original).length;
    const copiedFrom = list.some((other) => sourcesOf(other).some((from) => from === String(base.original) || from.toLowerCase() === base.name));
    if (builtOn !== 1 || copiedFrom) continue;
    told.push(`Squashing stages: ${current.name ?? String(current.original)} into ${base.name ?? String(base.original)}`);
    const joined: Candidate = { ...current, baseName: base.baseName, base: base.base, instructions: [...base.instructions, ...current.instructions] };
    list = list.filter(({ original }) => original !== base.original).map((other) => (other === current ? joined : other));
  }
  return list;
}

/** Files that later stages copy out of each stage, by its position; in the words of Go's map for the log. */
export function crossStageFiles(plan: StagePlan, lookupFor: (stage: PlannedStage, upTo: Instruction) => (name: string) => string | undefined): Map<number, string[]> {
  const files = new Map<number, string[]>();
  for (const stage of plan.stages) {
    for (const instruction of stage.instructions) {
      if (instruction.keyword !== 'COPY') continue;
      const from = instruction.flags.find(([name]) => name === 'from')?.[1];
      const position = from === undefined ? -1 : plan.find(from);
      if (position < 0) continue;
      const lookup = lookupFor(stage, instruction);
      const sources = listOf(instruction).slice(0, -1).map((word) => expandWord(word, lookup));
      files.set(position, [...(files.get(position) ?? []), ...sources]);
    }
  }
  return files;
}
