import { createHash } from 'node:crypto';
import { join, posix } from 'node:path';
import { BuildError, SettingError } from './buildError';
import type { FlagValues } from './commandLine';
import type { ContentStore } from './contentStore';
import { CopyError, planCopy, runCopy, type CopyPlan, type CopySource } from './copyFiles';
import { parseInstruction, type Instruction } from './dockerfile';
import { expandWord } from './dockerfileWords';
import { FileTree, newFolder } from './fileTree';
import { mediaTypes, zeroTime, type Image, type ImageLayer } from './image';
import type { LayerCache } from './layerCache';
import type { Log } from './log';
import { runInStage, type RunTools } from './runInstruction';
import { Snapshotter, type SnapshotMode } from './snapshot';
import { applyMetadata, metadataKeywords, stageLookup, type BuildArguments } from './stageConfig';
import { StageFolder } from './stageFolder';
import type { PlannedStage } from './stagePlan';
import type { Surroundings } from './surroundings';
import { applyLayer, maybeGunzip, writeLayer, type Layer, type LayerEntry } from './tarArchive';
import { lookUpUser, UserError } from './userLookup';

export interface StageTools {
  values: FlagValues;
  surroundings: Surroundings;
  log: Log;
  store: ContentStore;
  /** For layers and stage folders. */
  workFolder: string;
  cache: LayerCache | undefined;
  secrets: ReadonlyMap<string, Buffer>;
  context: CopySource;
  /** Where COPY --from finds files. */
  copySource: (from: string) => Promise<CopySource>;
  nextFile: () => string;
}

export interface BuiltStage {
  image: Image;
  tree: FileTree;
}

const alwaysIgnored = ['/kaniko', '/proc', '/sys', '/dev', '/etc/mtab', '/etc/resolv.conf', '/etc/hosts', '/etc/hostname', '/tmp/apt-key-gpghome'];

/** Builds one stage: the instructions in turn, each with the layer it makes. */
export class StageBuild {
  private readonly tree: FileTree;
  private readonly folder: StageFolder;
  private readonly snapshotter: Snapshotter;
  private readonly ignoredPaths: readonly string[];
  private readonly volumes: string[] = [];
  private unpacked = false;
  private snapshotTaken = false;
  private cacheKey: string;

  constructor(
    private readonly stage: PlannedStage,
    private readonly image: Image,
    private readonly args: BuildArguments,
    private readonly tools: StageTools,
    private readonly baseTree: FileTree | undefined,
  ) {
    const { values, surroundings, workFolder, store } = tools;
    this.tree = new FileTree(newFolder(Date.now() / 1000));
    this.ignoredPaths = [...alwaysIgnored, ...(values.on('ignore-var-run') ? ['/var/run'] : []), ...values.list('ignore-path')];
    const ignored = (path: string): boolean => this.ignoredPaths.some((entry) => path === entry || path.startsWith(`${entry}/`)) || this.volumes.some((volume) => path.startsWith(volume));
    this.folder = new StageFolder(join(workFolder, `stage-${stage.index}`), store, ignored);
    const mode = values.text('snapshotMode') || values.text('snapshot-mode');
    this.snapshotter = new Snapshotter(this.tree, mode as SnapshotMode, !surroundings.behaviour.fork, ignored);
    this.cacheKey = createHash('sha256').update(JSON.stringify([image.layers.map(({ digest }) => digest), image.config])).digest('hex');
  }

  /** @throws BuildError, and what registries refuse */
  async run(): Promise<BuiltStage> {
    const { stage, image, tools } = this;
    const { log, values, surroundings } = tools;
    const { fork } = surroundings.behaviour;
    const triggers = (image.config.OnBuild ?? []).map(parseInstruction);
    delete image.config.OnBuild;
    if (!fork) log.info(`Executing ${triggers.length} build triggers`);
    if (!fork) tellSnapshotMode(values, log);
    for (const { keyword } of stage.instructions) if (keyword === 'MAINTAINER') log.warn('MAINTAINER is deprecated, skipping');
    log.info(`Building stage '${stage.baseName}' [idx: '${stage.index}', base-idx: '${stage.base}']`);
    if (!fork) checkSnapshotMode(values);
    const instructions = [...triggers, ...stage.instructions].filter(({ keyword }) => keyword !== 'MAINTAINER');
    const cached = await this.cachedLayers(instructions);
    if (fork) this.foretell(instructions);
    const needsFiles = instructions.find((instruction) => !cached.has(instruction) && (['RUN', 'COPY', 'ADD'].includes(instruction.keyword) || (fork && instruction.keyword === 'WORKDIR')));
    if (needsFiles) {
      log.info(`Unpacking rootfs as cmd ${needsFiles.original} requires it.`);
      await this.unpack();
    } else log.info('Skipping unpacking as no commands require it.');
    if (values.on('single-snapshot')) this.startSnapshots();

    for (const [index, instruction] of instructions.entries()) await this.step(instruction, index === instructions.length - 1, cached.get(instruction));
    await tools.cache?.settle();
    if (values.on('cleanup') && !stage.saved) log.info('Deleting filesystem...');
    await this.folder.remove();
    return { image, tree: this.tree };
  }

  /** The fork computes the configuration beforehand, and says so. */
  private foretell(instructions: readonly Instruction[]): void {
    const config = structuredClone(this.image.config);
    const args = this.args.copy();
    for (const instruction of instructions) if (metadataKeywords.has(instruction.keyword)) applyMetadata(config, instruction, args, this.tools.log);
  }

  private async unpack(): Promise<void> {
    this.unpacked = true;
    if (this.baseTree) this.tree.root.children = this.baseTree.clone().root.children;
    else for (const layer of this.image.layers) await applyLayer(maybeGunzip(await layer.file()), this.tools.store, this.tree);
    // What the executor's own image has besides: it lands in snapshots that find everything new.
    const own = { mode: 0o755, uid: 0, gid: 0, mtime: Date.now() / 1000 };
    if (!this.tree.find('workspace')) this.tree.put('workspace', { ...newFolder(own.mtime) }, own);
    if (!this.tree.find('etc/nsswitch.conf')) this.tree.put('etc/nsswitch.conf', { type: 'file', ...own, mode: 0o644, ...(await this.tools.store.add('hosts: files dns\n')) }, own);
  }

  private startSnapshots(): void {
    if (this.snapshotTaken) return;
    this.snapshotTaken = true;
    const { log } = this.tools;
    log.info('Initializing snapshotter ...');
    log.info('Taking snapshot of full filesystem...');
    this.snapshotter.start();
  }

  private async step(instruction: Instruction, isLast: boolean, cachedLayer: ImageLayer | undefined): Promise<void> {
    const { log, values } = this.tools;
    const { keyword, original } = instruction;
    const isMetadata = metadataKeywords.has(keyword);
    const plan = keyword === 'COPY' || keyword === 'ADD' ? await this.plan(instruction, cachedLayer !== undefined) : undefined;
    if (keyword === 'RUN') checkMounts(instruction, this.tools.surroundings.behaviour.fork);
    log.info(original);
    if (cachedLayer) {
      log.info('Found cached layer, extracting to filesystem');
      if (this.unpacked) await applyLayer(maybeGunzip(await cachedLayer.file()), this.tools.store, this.tree);
      this.addLayer(original, cachedLayer);
      return;
    }
    const detects = keyword === 'RUN' && !values.on('use-new-run');
    if (detects) this.startSnapshots();
    const files = await this.execute(instruction, plan);
    const single = values.on('single-snapshot');
    if (single ? !isLast : isMetadata && !values.on('force-build-metadata')) return;
    if (isMetadata && !single) return;
    const entries = this.snapshot(single ? undefined : files);
    if (entries !== 'skipped') await this.keep(instruction, entries);
  }

  private async plan(instruction: Instruction, quiet: boolean): Promise<CopyPlan | undefined> {
    if (quiet) return undefined;
    const { log, surroundings } = this.tools;
    const { fork } = surroundings.behaviour;
    try {
      const plan = planCopy(instruction, await this.sourceOf(instruction), stageLookup(this.image.config, this.args), { fork, log });
      if (instruction.keyword === 'ADD') {
        const local = plan.sources.filter((source) => !/^https?:/.test(source)).map((source) => posix.join(plan.from.path, source));
        log.info(`Using files from context: [${local.join(' ')}]`);
      }
      return plan;
    } catch (error) {
      throw error instanceof CopyError ? new BuildError(`failed to get files used from context: ${error.message}`) : error;
    }
  }

  private async sourceOf(instruction: Instruction): Promise<CopySource> {
    const from = instruction.flags.find(([name]) => name === 'from')?.[1];
    return from === undefined ? this.tools.context : this.tools.copySource(expandWord(from, stageLookup(this.image.config, this.args)));
  }

  /** @returns the files it wrote; undefined: look for yourself */
  private async execute(instruction: Instruction, plan: CopyPlan | undefined): Promise<readonly string[] | undefined> {
    const { image, tools } = this;
    const { log, values, surroundings } = tools;
    const { fork } = surroundings.behaviour;
    const { keyword } = instruction;
    try {
      if (keyword === 'WORKDIR') return this.workdir(instruction);
      if (keyword === 'RUN') {
        const before = values.on('use-new-run') ? new Snapshotter(this.tree, 'full', false, (path) => this.ignoredPaths.includes(path)) : undefined;
        before?.start();
        const run: RunTools = { runner: surroundings.runner, folder: this.folder, tree: this.tree, log, secrets: tools.secrets, context: tools.context, fork, output: (stream, chunk) => surroundings[stream](chunk) };
        await runInStage(instruction, image.config, this.args, run);
        return before?.all().filter((entry) => 'node' in entry && entry.node.type !== 'folder').map(({ path }) => path);
      }
      if (plan) return await this.copy(instruction, plan);
      applyMetadata(image.config, instruction, this.args, log, (volume) => this.makeVolume(volume, fork));
      return undefined;
    } catch (error) {
      if (error instanceof CopyError || error instanceof UserError) throw new BuildError(`failed to execute command: ${error.message}`);
      throw error;
    }
  }

  private async copy(instruction: Instruction, plan: CopyPlan): Promise<readonly string[] | undefined> {
    const { log, surroundings, store } = this.tools;
    const { fork } = surroundings.behaviour;
    const lookup = stageLookup(this.image.config, this.args);
    const flag = (name: string): string | undefined => instruction.flags.find(([key]) => key === name)?.[1];
    const chown = flag('chown');
    let owner;
    if (chown !== undefined) {
      try {
        const { uid, gid } = lookUpUser(expandWord(chown, lookup), this.tree);
        owner = { uid, gid };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        throw new UserError(`${fork ? 'getting user group from chown: ' : ''}getting user group from chown: ${error.message}`);
      }
    }
    const chmod = flag('chmod');
    // The executor resolves the sources a second time when it copies.
    const again = planCopy(instruction, plan.from, lookup, { fork, log });
    const files = await runCopy(again, { tree: this.tree, cwd: this.image.config.WorkingDir ?? '/', owner, mode: chmod === undefined ? undefined : Number.parseInt(chmod, 8) }, { fork, log, store });
    return files.length > 0 ? files : undefined;
  }

  private workdir(instruction: Instruction): readonly string[] {
    const { image, tools, tree } = this;
    const { log, surroundings } = tools;
    log.info('Cmd: workdir');
    const path = posix.resolve(image.config.WorkingDir ?? '/', expandWord(instruction.text, stageLookup(image.config, this.args)));
    image.config.WorkingDir = path;
    log.info(`Changed working directory to ${path}`);
    if (tree.find(path)) return [];
    const user = image.config.User;
    let owner;
    try {
      owner = user ? lookUpUser(user, tree) : undefined;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`identifying uid and gid for user ${user ?? ''}: ${error.message}`);
    }
    const shown = owner ?? (surroundings.behaviour.fork ? { uid: 0, gid: 0 } : { uid: -1, gid: -1 });
    log.info(`Creating directory ${path} with uid ${shown.uid} and gid ${shown.gid}`);
    const now = Date.now() / 1000;
    tree.put(path, { ...newFolder(now), uid: owner?.uid ?? 0, gid: owner?.gid ?? 0 }, { mode: 0o755, uid: 0, gid: 0, mtime: now });
    return [path];
  }

  /** What is in a volume is left out of snapshots; only the older version makes its folder. */
  private makeVolume(volume: string, fork: boolean): void {
    if (!fork && !this.tree.find(volume)) {
      this.tools.log.info(`Creating directory ${volume}`);
      const now = Date.now() / 1000;
      this.tree.put(volume, newFolder(now), { mode: 0o755, uid: 0, gid: 0, mtime: now });
    }
    this.volumes.push(`${volume}/`);
  }

  /** @returns undefined where there is nothing to make a layer of */
  private snapshot(files: readonly string[] | undefined): LayerEntry[] | undefined | 'skipped' {
    const { log, surroundings } = this.tools;
    const { fork } = surroundings.behaviour;
    if (files === undefined) {
      log.info('Taking snapshot of full filesystem...');
      const entries = this.snapshotter.all();
      return entries.length > 0 || fork ? entries : undefined;
    }
    if (files.length === 0 && !fork) {
      log.info('No files changed in this command, skipping snapshotting.');
      return 'skipped';
    }
    log.info('Taking snapshot of files...');
    return this.snapshotter.files(files);
  }

  private async keep(instruction: Instruction, entries: LayerEntry[] | undefined): Promise<void> {
    const { log, values, cache, nextFile } = this.tools;
    const { original } = instruction;
    const level = values.number('compression-level');
    const layer = entries && this.asImageLayer(await writeLayer(entries, nextFile(), level >= 0 ? { level } : {}));
    if (cache?.caches(instruction)) {
      const content = layer ?? this.asImageLayer(await writeLayer([], nextFile()));
      cache.push(this.keys.get(instruction) ?? '', content, original);
    }
    if (layer) this.addLayer(original, layer);
    else log.info('No files were changed, appending empty layer to config. No layer added to image.');
  }

  private asImageLayer({ digest, size, diffId, file }: Layer): ImageLayer {
    return { digest, size, diffId, mediaType: mediaTypes[this.image.format].layer, file: () => Promise.resolve(file) };
  }

  private addLayer(original: string, layer: ImageLayer): void {
    this.image.layers.push(layer);
    this.image.history.push({ created: zeroTime, author: 'kaniko', created_by: original });
  }

  /** Looks layers up ahead, until one is missing: what comes after it cannot be taken from the cache. */
  private async cachedLayers(instructions: readonly Instruction[]): Promise<ReadonlyMap<Instruction, ImageLayer>> {
    const found = new Map<Instruction, ImageLayer>();
    const { cache, log } = this.tools;
    if (!cache) return found;
    const config = structuredClone(this.image.config);
    const args = this.args.copy();
    let missed = false;
    for (const instruction of instructions) {
      const key = await this.nextKey(instruction, config, args);
      this.keys.set(instruction, key);
      if (missed || !cache.caches(instruction)) continue;
      const layer = await cache.find(key);
      if (layer) {
        log.info(`Using caching version of cmd: ${instruction.original}`);
        found.set(instruction, layer);
      } else {
        log.info(`No cached layer found for cmd ${instruction.original}`);
        missed = true;
      }
    }
    return found;
  }

  private readonly keys = new Map<Instruction, string>();

  private async nextKey(instruction: Instruction, config: Image['config'], args: BuildArguments): Promise<string> {
    const { context } = this.tools;
    const silent = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Log;
    const lookup = stageLookup(config, args);
    let files: unknown = [];
    if (instruction.keyword === 'COPY' || instruction.keyword === 'ADD') {
      try {
        const { sources, from } = planCopy(instruction, await this.sourceOf(instruction), lookup, { fork: this.tools.surroundings.behaviour.fork, log: silent });
        files = sources.flatMap((source) => [[source, describe(from.tree, source)], ...[...from.tree.walk(source)].filter(([path]) => !context.ignore?.excludes(path)).map(([path]) => [path, describe(from.tree, path)])]);
      } catch (error) {
        if (!(error instanceof CopyError)) throw error;
      }
    } else if (metadataKeywords.has(instruction.keyword)) applyMetadata(config, instruction, args, silent);
    this.cacheKey = createHash('sha256').update(JSON.stringify([this.cacheKey, expandWord(instruction.original, lookup), args.entries(), files])).digest('hex');
    return this.cacheKey;
  }
}

function describe(tree: FileTree, path: string): unknown {
  const node = tree.find(path, { followLast: false });
  return node?.type === 'file' ? [node.sha256, node.mode, node.uid, node.gid] : node?.type === 'symlink' ? node.target : [node?.mode];
}

/** Only times are compared: the executor says so. */
export function tellSnapshotMode(values: FlagValues, log: Log): void {
  if (values.text('snapshot-mode') === 'time') log.info('Only file modification time will be considered when snapshotting');
}

/** @throws SettingError */
export function checkSnapshotMode(values: FlagValues): void {
  const mode = values.text('snapshot-mode');
  if (!['full', 'time', 'redo'].includes(mode)) throw new SettingError(`${mode} is not a valid snapshot mode`);
}

function checkMounts({ flags }: Instruction, fork: boolean): void {
  if (!fork) return;
  for (const [name, value] of flags) {
    const type = name === 'mount' ? (/(?:^|,)type=([^,]+)/.exec(value)?.[1] ?? 'bind') : 'bind';
    if (!['bind', 'cache', 'secret', 'tmpfs', 'ssh'].includes(type)) throw new BuildError(`failed to get files used from context: unsupported mount type "${type}"`);
  }
}
