import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../../tasks/core/agent/userError';
import { imagesOf, overrideImages, readImageOverrides } from '../../../tasks/DeployWithRollbackGuard/imageOverrides';
import { type ManifestObject, readManifests } from '../../../tasks/DeployWithRollbackGuard/sourceObjects';
import { kustomizeFolder } from './overlayTools';

const DIGEST = `sha256:${'a1'.repeat(32)}`;
const NO_TOKENS = { find: () => undefined, names: [] };

function overrides(...texts: string[]) {
  return readImageOverrides(texts.map((text, index) => ({ text, line: index + 1 })));
}

function objectsOf(text: string): ManifestObject[] {
  return readManifests([{ file: 'a.yml', text }], NO_TOKENS);
}

function pod(...images: string[]): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n${images.map((image, index) => `  - {name: c${index}, image: "${image}"}\n`).join('')}`;
}

function refuses(work: () => unknown, message: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** Image of the manifest, line of the input, image afterwards; undefined where it must not match. */
const CASES: [string, string, string | undefined][] = [
  ['app', 'app=new', 'new'],
  ['app:1', 'app=new', 'new:1'],
  [`app@${DIGEST}`, 'app=new', `new@${DIGEST}`],
  [`app:1@${DIGEST}`, 'app=new', `new:1@${DIGEST}`],
  ['app:1', 'app=new:2', 'new:2'],
  [`app:1@${DIGEST}`, 'app=new:2', 'new:2'],
  ['app:1', `app=new@${DIGEST}`, `new@${DIGEST}`],
  ['app', `app=new:2@${DIGEST}`, `new:2@${DIGEST}`],
  ['app:1', 'app:2', 'app:2'],
  ['app', 'app:2', 'app:2'],
  [`app@${DIGEST}`, 'app:2', 'app:2'],
  ['app:1', `app@${DIGEST}`, `app@${DIGEST}`],
  ['app:1', 'app=*:2', 'app:2'],
  ['localhost:5000/app', 'localhost:5000/app:2', 'localhost:5000/app:2'],
  ['localhost:5000/app:1', 'localhost:5000/app=reg.example.com:8443/team/app:2', 'reg.example.com:8443/team/app:2'],
  ['localhost:5000/app:1', 'localhost:5000/app=app', 'app:1'],
  ['docker.io/library/nginx:1', 'docker.io/library/nginx:2', 'docker.io/library/nginx:2'],
  ['docker.io/library/nginx:1', 'nginx:2', undefined],
  ['localhost:5000/app:1', 'app:2', undefined],
  ['localhost:5000/app:1', 'localhost/app:2', undefined],
  ['app-worker:1', 'app:2', undefined],
  ['my/app:1', 'app:2', undefined],
];

describe("A line of the input 'images'", () => {
  for (const [image, line, expected] of CASES) {
    it(`${line} makes ${image} ${expected ?? 'what it was'}`, () => {
      const change = () => imagesOf(overrideImages(objectsOf(pod(image)), overrides(line)));
      if (expected === undefined) refuses(change, /^No container has the image/);
      else assert.deepEqual(change(), [expected]);
    });
  }

  const faults: [string[], RegExp][] = [
    [['app'], /^Input 'images' is not valid: line 1: 'app' says nothing new\. Write name=newname:tag/],
    [['localhost:5000/app'], /says nothing new/],
    [['a=b:1', 'app='], /line 2: '' is not an image: it is empty/],
    [['=b'], /line 1: '' is not an image's name: it is empty/],
    [['app:1=b:2'], /'app:1' has a tag or digest, which are not compared\. Write app in front of '='/],
    [[`app@${DIGEST}=b:2`], /has a tag or digest/],
    [['app=b:'], /its tag is empty/],
    [['app=b@sha256:12'], /digest/],
    [['app=b c'], /white space/],
    [['app=$(Image)'], /\$\(Image\)/],
    [['App=b:1'], /lower case/],
    [['app:1', 'app=b'], /line 2: it names 'app' a second time/],
  ];
  for (const [lines, message] of faults) it(`${lines.join(' and ')} is refused`, () => refuses(() => overrides(...lines), message));
});

const EVERYWHERE = `${pod('app:1', 'side:1')}  initContainers: [{name: i, image: app:0}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c, image: app:1}], initContainers: [{name: i, image: "reg:5000/app:1"}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: app}, {name: x}]}}}}}
---
apiVersion: example.com/v1
kind: Rollout
metadata: {name: r}
spec: {parts: [{template: {spec: {containers: [{name: c, image: app:1}]}}}], image: app:1}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: x.example.com}
spec: {containers: [{image: app:1}]}
`;

describe('Image overrides', () => {
  it('reach every container of every pod template, and nothing else', () => {
    const objects = objectsOf(EVERYWHERE);
    const before = structuredClone(objects);
    const changed = JSON.stringify(overrideImages(objects, overrides('app:9')).map(({ object }) => object));
    assert.deepEqual(changed.match(/"image":"[^"]*"/g), ['app:9', 'side:1', 'app:9', 'app:9', 'reg:5000/app:1', 'app:9', 'app:9', 'app:1', 'app:1'].map((image) => `"image":"${image}"`));
    assert.deepEqual(objects, before);
  });

  it('reach ephemeral containers', () => {
    const text = `${pod('app:1')}  ephemeralContainers: [{name: e, image: debug:1}]`;
    assert.deepEqual(imagesOf(overrideImages(objectsOf(text), overrides('debug:2'))), ['app:1', 'debug:2']);
  });

  it('see what those before them have made', () => {
    assert.deepEqual(imagesOf(overrideImages(objectsOf(pod('a:1', 'b:1')), overrides('a=b:2', 'b=c:3'))), ['c:3']);
  });

  it('that match nothing are refused with the images that are there', () => {
    refuses(() => overrideImages(objectsOf(pod('a:1', 'reg:5000/b:1', 'a:1')), overrides('apq:2')), /^No container has the image 'apq' \(input 'images'\)\. There are: a:1, reg:5000\/b:1\.$/);
    refuses(() => overrideImages(objectsOf('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}'), overrides('a:2')), /The objects have no containers\./);
  });

  describe('beside `kustomize edit set image`', () => {
    const folder = kustomizeFolder();
    let scratch = '';
    before(function () {
      if (folder === undefined) return this.skip();
      scratch = mkdtempSync(join(tmpdir(), 'release-guard-images-'));
    });
    after(() => scratch && rmSync(scratch, { recursive: true }));

    function byKustomize(text: string, lines: string[]): ManifestObject[] {
      writeFileSync(join(scratch, 'objects.yaml'), text);
      writeFileSync(join(scratch, 'kustomization.yaml'), 'resources: [objects.yaml]\n');
      const kustomize = (...args: string[]) => execFileSync(join(folder ?? '', 'kustomize'), args, { cwd: scratch, encoding: 'utf8' });
      kustomize('edit', 'set', 'image', ...lines);
      return objectsOf(kustomize('build', '.'));
    }

    const same = (text: string, lines: string[]) => {
      const ours = overrideImages(objectsOf(text), overrides(...lines)).map(({ object }) => object);
      const theirs = byKustomize(text, lines).map(({ object }) => object);
      assert.deepEqual(new Map(ours.map((object) => [object.kind, object])), new Map(theirs.map((object) => [object.kind, object])));
    };
    for (const [image, line, expected] of CASES.filter((given) => given[2] !== undefined)) {
      it(`${line} makes ${image} ${expected} there too`, () => same(pod(image), [line]));
    }
    it('the same containers are reached', () => same(EVERYWHERE, ['app:9']));
    it('several lines have the same effect', () => same(pod('a:1', 'b:1'), ['a=b:2', 'b=c:3']));
    for (const [image, line] of CASES.filter((given) => given[2] === undefined)) {
      it(`${line} leaves ${image} alone`, () => assert.deepEqual(imagesOf(byKustomize(pod(image), [line])), [image]));
    }
  });
});
