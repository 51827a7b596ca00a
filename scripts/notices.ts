import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import spdxLicenses from 'spdx-license-list/full';

/** A package that is in the bundles, with what its licence asks us to pass on. */
export interface NoticedPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX identifier of the licence under which we use it. */
  readonly license: string;
  /** The package's own licence and notice files; where it has none, the licence's standard text. */
  readonly text: string;
}

/** What package.json may say about itself. */
export interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly license?: unknown;
  readonly licenses?: unknown;
  readonly author?: unknown;
}

/** Licences that allow shipping the package in a bundle under MIT, the preferred first where a package offers several. */
const acceptedLicenses = ['MIT', 'ISC', 'BSD-3-Clause', 'BSD-2-Clause', '0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'Unlicense', 'WTFPL', 'CC0-1.0'];

/** Packages that declare no licence but ship its text; read and confirmed for this very version. */
const confirmedLicenses: Readonly<Record<string, string>> = {
  'stack-trace@0.0.9': 'MIT',
};

const licenseFile = /^(?!.*\.([cm]?[jt]s|json)$)(.*licen[sc]e|copying|notice)/i;

/** The folders of the packages whose code is in the outputs, relative as in the metafile, sorted. */
export function bundledPackageFolders(metafiles: readonly Pick<Metafile, 'outputs'>[]): string[] {
  const folders = new Set<string>();
  for (const { outputs } of metafiles) {
    for (const { inputs } of Object.values(outputs)) {
      for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
        const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
        if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
      }
    }
  }
  return [...folders].sort();
}

/** The licence to use the package under. @throws Error where there is none that we accept. */
export function chosenLicense(manifest: PackageManifest): string {
  const offered = confirmedLicenses[`${manifest.name}@${manifest.version}`] ?? declaredLicense(manifest);
  const alternatives = offered.replace(/^\(|\)$/g, '').split(' OR ');
  const chosen = acceptedLicenses.find((license) => alternatives.includes(license));
  if (chosen === undefined) {
    throw new Error(
      `${manifest.name}@${manifest.version} is bundled under ${offered ? `'${offered}'` : 'no declared licence'}: ` +
        'read its licence, then either accept it in scripts/notices.ts or leave the package out.',
    );
  }
  return chosen;
}

/** Old packages have `licenses: [{type}]`, which means a choice. */
function declaredLicense({ license, licenses }: PackageManifest): string {
  const words = [license, ...(Array.isArray(licenses) ? (licenses as unknown[]) : [licenses])].flat().map((entry: unknown) => {
    const word = typeof entry === 'object' && entry !== null && 'type' in entry ? entry.type : entry;
    return typeof word === 'string' ? word : '';
  });
  return words.filter((word) => word !== '').join(' OR ');
}

/** Reads what the licence of one installed package asks us to pass on. */
export async function readPackage(folder: string): Promise<NoticedPackage> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageManifest;
  const license = chosenLicense(manifest);
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && licenseFile.test(entry.name)).map((entry) => entry.name);
  const texts = await Promise.all(files.sort().map(async (file) => normalised(await readFile(join(folder, file), 'utf8'))));
  const text = texts.length > 0 ? texts.join('\n\n') : standardText(license, manifest);
  return { name: manifest.name, version: manifest.version, license, text };
}

function standardText(license: string, { author }: PackageManifest): string {
  const text = spdxLicenses[license]?.licenseText;
  if (text === undefined) throw new Error(`There is no standard text of the licence ${license}.`);
  const name = typeof author === 'object' && author !== null && 'name' in author ? author.name : author;
  const holder = typeof name === 'string' && name !== '' ? name : 'the authors of the package';
  return normalised(text.replace(/<year>\s*/g, '').replace(/<(copyright holders|owner)>/g, () => holder));
}

function normalised(text: string): string {
  return text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n').replace(/[ \t]+$/gm, '').trim();
}

/** THIRD_PARTY_NOTICES.txt: each licence text once, headed by the packages that it covers. */
export function renderNotices(packages: readonly NoticedPackage[], changes: string): string {
  const covered = new Map<string, string[]>();
  const titles = new Set<string>();
  for (const { name, version, license, text } of packages) {
    const title = `${name} ${version} (${license})`;
    if (titles.has(title)) continue;
    titles.add(title);
    covered.set(text, [...(covered.get(text) ?? []), title]);
  }
  const rule = '='.repeat(80);
  const sections = [...covered].map(([text, names]) => `${rule}\n${names.join('\n')}\n\n${text}\n`);
  const head = `Release Guard contains the following ${titles.size} packages. Each is used under the licence named beside it.\n`;
  return [head, `${changes}\n`, ...sections].join('\n');
}

/** The notices for these bundles. @param root the folder that the metafiles' paths are relative to. */
export async function thirdPartyNotices(root: string, metafiles: readonly Pick<Metafile, 'outputs'>[], changes: string): Promise<string> {
  const results = await Promise.allSettled(bundledPackageFolders(metafiles).map((folder) => readPackage(join(root, folder))));
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [String((result.reason as Error).message)] : []));
  if (reasons.length > 0) throw new Error(reasons.join('\n'));
  return renderNotices(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])), changes);
}
