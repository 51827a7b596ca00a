import { join } from 'node:path';
import { BuildError, SettingError } from './buildError';
import type { BuildContext, DockerfileSource } from './buildContext';
import type { FlagValues } from './commandLine';
import type { ContentStore } from './contentStore';
import type { CopySource } from './copyFiles';
import { DockerfileError, parseDockerfile, type Dockerfile, type Instruction } from './dockerfile';
import { FileTree } from './fileTree';
import { IgnorePatterns } from './ignorePatterns';
import type { Image, ImageLayer } from './image';
import type { ImageSource } from './imageSource';
import type { LayerCache } from './layerCache';
import type { Log } from './log';
import { checkSnapshotMode, StageBuild, tellSnapshotMode, type BuiltStage, type StageTools } from './stageBuild';
import { applyMetadata, BuildArguments, stageLookup } from './stageConfig';
import { crossStageFiles, planStages, type PlannedStage, type StagePlan } from './stagePlan';
import type { Surroundings } from './surroundings';
import { applyLayer, maybeGunzip, withoutTimes } from './tarArchive';

export interface BuildTools {
  values: FlagValues;
  surroundings: Surroundings;
  log: Log;
  store: ContentStore;
  images: ImageSource;
  cache: LayerCache | undefined;
  secrets: ReadonlyMap<string, Buffer>;
  workFolder: string;
  platform: { os: string; architecture: string };
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Log;

/**
 * Builds the image a Dockerfile describes, stage by stage.
 * @throws BuildError, DockerfileError, and what registries refuse
 */
export async function buildImage(source: DockerfileSource, context: BuildContext, tools: BuildTools): Promise<Image> {
  return new Build(parse(source.text, tools), source, context, tools).run();
}

function parse(text: string, { surroundings, log }: BuildTools): Dockerfile {
  const { fork } = surroundings.behaviour;
  const warn = (warnings: readonly string[]): void => {
    if (fork) for (const warning of warnings) log.warn(warning);
  };
  try {
    const dockerfile = parseDockerfile(text);
    warn(dockerfile.warnings);
    return dockerfile;
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    warn((error as { warnings?: string[] }).warnings ?? []);
    throw new DockerfileError(`parsing dockerfile: ${error.message}`);
  }
}

class Build {
  private readonly built: BuiltStage[] = [];
  private readonly extraTrees = new Map<string, FileTree>();
  private readonly buildArgs: ReadonlyMap<string, string>;
  private files = 0;

  constructor(
    private readonly dockerfile: Dockerfile,
    private readonly source: DockerfileSource,
    private readonly context: BuildContext,
    private readonly tools: BuildTools,
  ) {
    const { values, surroundings } = tools;
    // Without a value it is taken from the environment; what is not there is empty.
    this.buildArgs = new Map(values.list('build-arg').map((text) => {
      const equals = text.indexOf('=');
      return equals < 0 ? [text, surroundings.env[text] ?? ''] : [text.slice(0, equals), text.slice(equals + 1)];
    }));
  }

  async run(): Promise<Image> {
    const { values, surroundings, log, images } = this.tools;
    const { fork } = surroundings.behaviour;
    const plan = planStages(this.dockerfile, values, this.buildArgs, fork, log);
    const fromImages = plan.stages.filter(({ base, baseName }) => base < 0 && baseName !== 'scratch');
    if (fork) for (const { baseName } of fromImages) await images.retrieve(baseName, this.looks);
    if (this.source.ignore) log.info(`Using dockerignore file: ${this.source.ignore.path}`);
    for (const line of plan.squashed) log.info(line);
    if (!fork) await this.fetchExtraImages(plan);
    await this.retrieveBases(plan);
    const wanted = crossStageFiles(plan, (stage, upTo) => this.lookupAt(stage, upTo));
    log.info(`Built cross stage deps: map[${[...wanted].sort(([a], [b]) => a - b).map(([position, paths]) => `${plan.stages[position]?.index ?? position}:[${paths.join(' ')}]`).join(' ')}]`);
    if (fork) await this.fetchExtraImages(plan);
    for (const [position, stage] of plan.stages.entries()) await this.build(plan, position, stage, wanted.get(position) ?? []);
    const image = this.built.at(-1)?.image;
    if (!image) throw new BuildError('no stage was built');
    return this.finish(image);
  }

  /** With a cache the executor looks for each base image twice: in the folder of cached images, then in the registry. */
  private get looks(): number {
    return this.tools.values.on('cache') ? 2 : 1;
  }

  private async retrieveBases({ stages }: StagePlan): Promise<void> {
    const { images, values } = this.tools;
    for (const { base, baseName } of stages) {
      if (base >= 0) continue;
      if (baseName === 'scratch') images.scratch();
      else await images.retrieve(baseName, this.looks);
      for (const text of values.list('label')) if (!text.includes('=')) throw new BuildError(`labels must be of the form key=value, got ${text}`);
    }
  }

  /** Images that COPY --from names, which are no stages. */
  private async fetchExtraImages(plan: StagePlan): Promise<void> {
    const { images, log, store } = this.tools;
    for (const { instructions } of plan.stages) {
      for (const { keyword, flags } of instructions) {
        const from = keyword === 'COPY' ? flags.find(([name]) => name === 'from')?.[1] : undefined;
        if (from === undefined || plan.find(from) >= 0 || this.extraTrees.has(from)) continue;
        const image = await images.retrieve(from);
        log.info(`Storing source image from stage ${from} at path /kaniko/stages/${from}`);
        const tree = new FileTree();
        for (const layer of image.layers) await applyLayer(maybeGunzip(await layer.file()), store, tree);
        this.extraTrees.set(from, tree);
      }
    }
  }

  private async build(plan: StagePlan, position: number, stage: PlannedStage, wanted: readonly string[]): Promise<void> {
    const { values, surroundings, log, images, store, workFolder, cache, secrets } = this.tools;
    if (surroundings.behaviour.fork) {
      tellSnapshotMode(values, log);
      checkSnapshotMode(values);
    }
    const base = stage.base >= 0 ? this.built[stage.base] : undefined;
    let image: Image;
    if (base) {
      log.info(`Base image from previous stage ${stage.base} found, using saved tar at path /kaniko/stages/${stage.base}`);
      image = { ...base.image, config: structuredClone(base.image.config), layers: [...base.image.layers], history: [...base.image.history] };
    } else image = stage.baseName === 'scratch' ? images.scratch() : await images.retrieve(stage.baseName, this.looks);
    const isLast = position === plan.stages.length - 1;
    if (isLast) this.addLabels(image);
    const context: CopySource = { tree: this.context.files, path: this.context.path, ...(this.source.ignore ? { ignore: new IgnorePatterns(this.source.ignore.text, log) } : {}) };
    const stageTools: StageTools = {
      values, surroundings, log, store, workFolder, cache, secrets, context,
      copySource: (from) => this.copySource(plan, from),
      nextFile: () => join(workFolder, `layer-${this.files++}`),
    };
    const result = await this.wrapped(() => new StageBuild(stage, image, this.argsOf(), stageTools, base?.tree).run());
    this.built.push(result);
    if (isLast) return;
    if (stage.saved) log.info(`Storing source image from stage ${stage.index} at path /kaniko/stages/${stage.index}`);
    for (const path of [...new Set(wanted)].sort()) {
      const name = path.replace(/^\/+/, '');
      if (result.tree.find(path, { followLast: false })) log.info(`Saving file ${name} for later use`);
    }
    log.info('Deleting filesystem...');
  }

  private async wrapped<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw error instanceof BuildError && !(error instanceof SettingError) ? new BuildError(`error building stage: ${error.message}`, error.exitCode) : error;
    }
  }

  private async copySource(plan: StagePlan, from: string): Promise<CopySource> {
    const position = plan.find(from);
    const folder = this.tools.surroundings.behaviour.fork ? '/kaniko/deps' : '/kaniko';
    const stage = this.built[position];
    if (stage) return { tree: stage.tree, path: `${folder}/${plan.stages[position]?.index ?? position}` };
    return Promise.resolve({ tree: this.extraTrees.get(from) ?? new FileTree(), path: `${folder}/${from}` });
  }

  private argsOf(): BuildArguments {
    const { platform, surroundings } = this.tools;
    const name = `${platform.os}/${platform.architecture}`;
    const predefined: [string, string][] = surroundings.behaviour.fork ? [['TARGETPLATFORM', name], ['TARGETOS', platform.os], ['TARGETARCH', platform.architecture], ['BUILDPLATFORM', name], ['BUILDOS', platform.os], ['BUILDARCH', platform.architecture]] : [];
    return new BuildArguments(this.buildArgs, this.dockerfile.metaArgs, new Map(predefined));
  }

  /** Variables as they are when an instruction is reached, for what is computed ahead. */
  private lookupAt(stage: PlannedStage, upTo: Instruction): (name: string) => string | undefined {
    const config = {};
    const args = this.argsOf();
    for (const instruction of stage.instructions) {
      if (instruction === upTo) break;
      if (instruction.keyword === 'ARG' || instruction.keyword === 'ENV') applyMetadata(config, instruction, args, silent);
    }
    return stageLookup(config, args);
  }

  /** Labels of the command line, under those of the Dockerfile. */
  private addLabels(image: Image): void {
    for (const text of this.tools.values.list('label')) {
      const equals = text.indexOf('=');
      image.config.Labels = { ...image.config.Labels, [text.slice(0, equals)]: text.slice(equals + 1) };
    }
  }

  private async finish(image: Image): Promise<Image> {
    const { values, platform, workFolder } = this.tools;
    const annotations = Object.fromEntries(values.list('annotation').map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));
    const result: Image = { ...image, ...(values.text('custom-platform') === '' ? {} : platform), annotations };
    if (!values.on('reproducible')) return result;
    const layers: ImageLayer[] = [];
    for (const layer of result.layers) {
      const { digest, size, diffId, file } = await withoutTimes(await layer.file(), join(workFolder, `layer-${this.files++}`));
      layers.push({ digest, size, diffId, mediaType: layer.mediaType, file: () => Promise.resolve(file) });
    }
    const history = result.history.map(({ author: _author, created: _created, comment: _comment, ...rest }) => rest);
    return { ...result, layers, history };
  }
}
