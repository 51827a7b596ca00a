import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { sep } from 'node:path';
import type { Plugin } from 'esbuild';

/** One replacement in a file of newman's tree, applied while bundling. */
export interface NewmanPatch {
  /** Package and file, with forward slashes. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Goes into the notices: Apache-2.0 asks for changed files to say that they were changed. */
  readonly change: string;
}

/** The version the patches were measured on; another one needs them to be looked at again. */
export const patchedNewman = { newman: '6.2.2', 'postman-runtime': '7.39.1', uvm: '2.1.1' } as const;

/**
 * newman waits on seven zero timeouts per request, each a millisecond at least; setImmediate keeps their order. Its
 * sandbox compiles the same 2.9 MB of boot code anew for each iteration; one vm.Script is compiled once.
 */
export const newmanPatches: readonly NewmanPatch[] = [
  {
    file: 'postman-runtime/lib/runner/instruction.js',
    find: 'setTimeout(callback.bind(...args), 0);',
    replace: 'setImmediate(callback.bind(...args));',
    change: 'an instruction calls back by setImmediate instead of a timeout of zero',
  },
  {
    file: 'postman-runtime/lib/runner/run.js',
    find: `setTimeout(function () {
            // we do not have callback, hence we send _.noop. we could have had made callback in .execute optional, but
            // that would suppress design-time bugs in majority use-case and hence we avoided the same.
            instruction.execute(_.noop, scope);
        }, 0);`,
    replace: 'setImmediate(function () { instruction.execute(_.noop, scope); });',
    change: 'an immediate instruction starts by setImmediate instead of a timeout of zero',
  },
  {
    file: 'uvm/lib/bridge.js',
    find: `vm.runInContext(code, context, {
            timeout: options.bootTimeout
        });`,
    replace: `if (module.exports.bootSource !== code) {
            module.exports.bootSource = code;
            module.exports.bootScript = new vm.Script(code);
        }
        module.exports.bootScript.runInContext(context, { timeout: options.bootTimeout });`,
    change: 'the boot code of the script sandbox is compiled once per process instead of once per context',
  },
];

/** What THIRD_PARTY_NOTICES must say about files that differ from what their authors published. */
export function newmanChangesNotice(): string {
  return [
    'Changed files: the following files of Apache-2.0 packages were changed by Release Guard while bundling:',
    ...newmanPatches.map(({ file, change }) => `  ${file}: ${change}.`),
    "  postman-sandbox/lib/bundle: its use of terser, needed only to rebuild the sandbox, was left out.",
  ].join('\n');
}

/** Applies one patch. @throws Error unless the text to replace stands in the source exactly once. */
export function applyPatch(source: string, patch: NewmanPatch): string {
  const matches = source.split(patch.find).length - 1;
  if (matches !== 1) {
    throw new Error(
      `The patch of ${patch.file} ("${patch.change}") matches ${matches} times instead of once: look at it again for this version of newman.`,
    );
  }
  return source.replace(patch.find, () => patch.replace);
}

/** The esbuild plugin: patches newman's files, leaves terser out, fails if a patch found no file to change. */
export function patchNewman(patches: readonly NewmanPatch[] = newmanPatches): Plugin {
  return {
    name: 'newman-patches',
    setup(build) {
      const applied = new Set<NewmanPatch>();
      let bundled = false;
      build.onLoad({ filter: /[\\/]node_modules[\\/](postman-runtime|uvm)[\\/]lib[\\/]/ }, async ({ path }) => {
        bundled = true;
        const posixPath = path.split(sep).join('/');
        const due = patches.filter(({ file }) => posixPath.endsWith(`/node_modules/${file}`));
        if (due.length === 0) return undefined;
        let contents = await readFile(path, 'utf8');
        for (const patch of due) {
          contents = applyPatch(contents.replace(/\r\n/g, '\n'), patch);
          applied.add(patch);
        }
        return { contents, loader: 'js' };
      });
      build.onResolve({ filter: /^terser$/ }, () => ({ path: 'terser', namespace: 'left-out' }));
      build.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
      build.onEnd(() => {
        if (!bundled) return undefined;
        const errors = patches
          .filter((patch) => !applied.has(patch))
          .map(({ file }) => ({ text: `The patch of ${file} was not applied: no such file was bundled.` }));
        for (const [name, version] of Object.entries(patchedNewman)) {
          const { version: installed } = createRequire(__filename)(`${name}/package.json`) as { version: string };
          if (installed !== version) errors.push({ text: `The patches are for ${name} ${version}, but ${installed} is installed.` });
        }
        return { errors };
      });
    },
  };
}
