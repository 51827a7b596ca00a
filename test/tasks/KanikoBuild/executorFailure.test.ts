import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { executorFailure, isCutContext } from '../../../tasks/KanikoBuild/executorFailure';

const end = (log: string[], exitCode = 1, reason: string | undefined = 'Error', message = '') => executorFailure({ exitCode, reason, message, log });
const USAGE = ['Usage:', '  executor [flags]', '', 'Flags:', '  -d, --destination multi-arg-type   Registry the final image should be pushed to.', ''];

describe('executorFailure', () => {
  const cases: [string, string[], RegExp, RegExp][] = [
    ['a failed RUN', ['\u001b[36mINFO\u001b[0m[0001] Running: [/bin/sh -c exit 3]', 'error building image: error building stage: failed to execute command: waiting for process to exit: exit status 3'], /^error building image: .*exit status 3 \(exit code 1\)$/, /A RUN of the Dockerfile failed/],
    ['an argument it does not know, before its usage', ['Error: unknown flag: --nope', ...USAGE, 'unknown flag: --nope'], /^unknown flag: --nope/, /'extraArguments'/],
    ['a stage that is not there', ['error building image: Error finding target stage: nosuch is not a valid target build stage'], /nosuch is not a valid target/, /'target'/],
    ['a Dockerfile that is not there', ['Error: error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile', ...USAGE], /valid path to a Dockerfile/, /'dockerfile'/],
    ['a context that was cut', ['Error: error resolving source context: unexpected EOF', ...USAGE], /unexpected EOF/, /run again/],
    ['wrong credentials', ['error checking push permissions: checking push permission for "r/a:1": GET http://r/v2/: UNAUTHORIZED: authentication required; []'], /UNAUTHORIZED/, /'registryServiceConnection'.*user or password/],
    ['a push that is denied', ['error pushing image: failed to push to destination r/a/b:1: POST http://r/v2/a/b/blobs/uploads/: DENIED: requested access to the resource is denied'], /DENIED/, /right to push/],
    ['a registry that does not answer', ['error checking push permissions: checking push permission for "r/a:1": creating push check transport for r failed: Get "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused'], /connection refused/, /'imageName'/],
    ['a base image that is not there', ['error building image: unable to complete operation after 0 attempts, last error: GET http://r/v2/library/nosuch/manifests/1: MANIFEST_UNKNOWN: manifest unknown; map[Tag:1]'], /MANIFEST_UNKNOWN/, /after FROM/],
    ['a disk that is full', ['error building image: error building stage: failed to take snapshot: write /kaniko/1: no space left on device'], /no space left/, /disk is full/],
    ['a tag that may not change', ['error pushing image: failed to push to destination r/a/b:1: PUT http://r/v2/a/b/manifests/1: TAG_IMMUTABLE: tag is immutable'], /TAG_IMMUTABLE/, /'tags'/],
    ['the last line of a program that is no executor', ['starting', 'panic: no', ''], /^panic: no \(exit code 1\)$/, /above/],
    ['nothing at all', [], /wrote nothing/, /^$/],
  ];
  for (const [what, log, cause, remedy] of cases) {
    it(`tells the cause and a remedy of ${what}`, () => {
      const failure = end(log);
      assert.match(failure.cause, cause);
      assert.match(failure.remedy, remedy);
    });
  }

  it('tells of memory that ran out whatever the log says', () => {
    assert.match(end(['error building image: x'], 137, 'OOMKilled').cause, /ran out of memory/);
  });

  it('tells in the words of the runtime why the executor cannot be started', () => {
    const failure = end([], 128, 'StartError', 'exec: "/kaniko/executor": stat /kaniko/executor: no such file or directory');
    assert.match(failure.cause, /cannot be started: exec: "\/kaniko\/executor"/);
    assert.match(failure.remedy, /'executorImage'/);
  });

  it('keeps text of the log from acting as a command', () => {
    assert.match(end(['error building image: ##vso[task.setvariable variable=x]y']).cause, /^error building image: \*\*vso\[/);
  });

  it('takes only the executor’s own words for a context that was cut', () => {
    assert.equal(isCutContext(['Error: error resolving source context: unexpected EOF', ...USAGE]), true);
    assert.equal(isCutContext(['Error: error resolving source context: EOF', ...USAGE]), true);
    assert.equal(isCutContext(['sh: syntax error: unexpected EOF', 'error building image: waiting for process to exit: exit status 2']), false);
    assert.equal(isCutContext(['error pushing image: failed to push to destination r/a/b:1: Patch "http://r/v2/": EOF']), false);
  });
});

interface Transcript {
  name: string;
  exitCode: number;
  stdout: string;
  stderr: string;
}

describe('executorFailure, over what real executors printed', function () {
  const folder = process.env['KANIKO_TRANSCRIPTS'];
  for (const version of ['1.24.0', '1.28.3']) {
    const file = path.join(folder ?? '', `${version}.json`);
    if (!folder || !existsSync(file)) {
      it(`version ${version} (skipped: KANIKO_TRANSCRIPTS names no folder with ${version}.json)`, function () {
        this.skip();
      });
      continue;
    }
    const transcripts = (JSON.parse(readFileSync(file, 'utf8')) as Transcript[]).filter(({ exitCode }) => exitCode !== 0);

    it(`names one cause for each of the ${transcripts.length} failures of version ${version}, with what to do`, () => {
      assert.ok(transcripts.length > 100);
      const wrong = transcripts.flatMap((transcript) => {
        const log = logOf(transcript);
        const { cause, remedy } = executorFailure({ exitCode: transcript.exitCode, reason: 'Error', message: '', log });
        const lines = log.map((line) => line.trim()).filter(Boolean);
        // The executor's own last words, which follow the usage or stand before it.
        const last = lines.slice(0, lines.findIndex((line) => line === 'Usage:') >>> 0).at(-1) ?? '';
        const told = cause.replace(/ \(exit code \d+\)$/, '');
        const isCause = last.replace(/^Error: /, '') === told || /Run 'executor --help'/.test(last);
        const isOneLine = !/[\r\n\u001b]/.test(cause) && !/Usage:|--\w+ +(string|multi)/.test(cause);
        return isCause && isOneLine && remedy !== '' ? [] : [`${transcript.name}: ${cause} / ${remedy} / ${last}`];
      });
      assert.deepEqual(wrong, []);
    });
  }
});

/** As the pod's log has it: both streams, the usage as the executor prints it. */
function logOf({ stdout, stderr }: Transcript): string[] {
  return `${stdout}\n${stderr}`
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => (/^<USAGE \d+ lines>$/.test(line) ? USAGE : [line]));
}
