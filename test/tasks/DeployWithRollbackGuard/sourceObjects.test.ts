import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../../../tasks/core/agent/userError';
import { findManifestFiles, globPattern, loadManifests, readManifests } from '../../../tasks/DeployWithRollbackGuard/sourceObjects';
import { type TokenSource, tokenSource } from '../../../tasks/DeployWithRollbackGuard/tokens';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const HEAD = 'apiVersion: v1\nkind: Thing\nmetadata: {name: a}\n';
const none = tokensOf({});

function tokensOf(values: Record<string, string>, secretNames: string[] = []): TokenSource {
  return tokenSource(new Map(Object.entries(values)), new RecordingAgent({ secretNames }));
}

/** The field `spec` of one object whose text after the head is given. */
function spec(text: string, values: Record<string, string> = {}): unknown {
  const [only, ...others] = readManifests([{ file: 'a.yml', text: `${HEAD}${text}` }], tokensOf(values));
  assert.equal(others.length, 0);
  return (only?.object as unknown as { spec?: unknown }).spec;
}

function refuses(reading: () => unknown, message: RegExp | string): void {
  assert.throws(reading, (error: unknown) => isUserError(error, message));
}

function isUserError(error: unknown, message: RegExp | string): true {
  assert.ok(error instanceof UserError, String(error));
  if (typeof message === 'string') assert.equal(error.message, message);
  else assert.match(error.message, message);
  assert.doesNotMatch(error.message, /[\n\uFDD0-\uFDEF]/);
  return true;
}

describe('A token in a manifest', () => {
  const cases: [string, Record<string, string>, unknown][] = [
    // What it becomes is what YAML makes of the replaced text.
    ['spec: ##N##', { N: '3' }, 3],
    ['spec: $(N)', { N: '3' }, 3],
    ['spec: #{N}#', { N: '3' }, 3],
    ['spec: "##N##"', { N: '3' }, '3'],
    ["spec: '##N##'", { N: '3' }, '3'],
    ['spec: !!str ##N##', { N: '3' }, '3'],
    ['spec: 1##N##', { N: '3' }, 13],
    ['spec: ##N##  # a comment with ##UNKNOWN##', { N: '3' }, 3],
    ['spec: ##N##', { N: 'true' }, true],
    ['spec: ##N##', { N: '' }, null],
    ['spec: "##N##"', { N: '' }, ''],
    ['spec: v##N##', { N: '1.10' }, 'v1.10'],
    ['spec: ##N##', { N: '0644' }, 420],
    ['spec: app:##TAG##', { TAG: '1.2.3' }, 'app:1.2.3'],
    ['spec: reg:5000/##A##/##B##@##C##', { A: 'a', B: 'b', C: 'sha256:1' }, 'reg:5000/a/b@sha256:1'],
    ['spec: ##MAJOR####MINOR##', { MAJOR: '1', MINOR: '2' }, 12],
    ['spec: [##A##, $(B), x]', { A: '1', B: 'y: z' }, [1, 'y: z', 'x']],
    ['spec: {a: ##A##, b: "##B##"}', { A: '1', B: '1' }, { a: 1, b: '1' }],
    ['spec:\n  ##A##', { A: '1' }, 1],
    ['spec:\n- ##A##\n- $(B)', { A: '1', B: 'x' }, [1, 'x']],
    ['spec:\n  ##K##: 1', { K: 'key' }, { key: 1 }],
    ['spec:\n  a-##K##: 1', { K: 'b: c' }, { 'a-b: c': 1 }],
    ['spec:\n  ##K##: 1\n  ##L##: 2', { K: 'k', L: 'l' }, { k: 1, l: 2 }],
    ['spec: one\n  ##A## two'.replace('\n  ##', ' ##'), { A: 'x' }, 'one x two'],
    ['spec: &a ##A##\nother: *a', { A: '5' }, 5],
    ['spec: {x: &a ##A##, z: *a}', { A: 'v: w' }, { x: 'v: w', z: 'v: w' }],
    // No value changes the structure.
    ['spec: ##V##', { V: 'a: b' }, 'a: b'],
    ['spec: ##V##', { V: '{a: b}' }, '{a: b}'],
    ['spec: ##V##', { V: '[1, 2]' }, '[1, 2]'],
    ['spec: ##V##', { V: '- a' }, '- a'],
    ['spec: ##V##', { V: 'x # y' }, 'x # y'],
    ['spec: ##V##', { V: '# y' }, '# y'],
    ['spec: ##V##', { V: '&a' }, '&a'],
    ['spec: ##V##', { V: '*a' }, '*a'],
    ['spec: ##V##', { V: '!!binary x' }, '!!binary x'],
    ['spec: ##V##', { V: '|' }, '|'],
    ['spec: ##V##', { V: '"' }, '"'],
    ['spec: ##V##', { V: "'" }, "'"],
    ['spec: ##V##', { V: '%YAML 1.2' }, '%YAML 1.2'],
    ['spec: ##V##', { V: '---' }, '---'],
    ['spec: ##V##', { V: 'a\n---\nkind: Secret' }, 'a\n---\nkind: Secret'],
    ['spec: ##V##', { V: 'x\nother: 1' }, 'x\nother: 1'],
    ['spec: ##V##', { V: ' 5 ' }, ' 5 '],
    ['spec: ##V##', { V: '5\n' }, '5\n'],
    ['spec: "##V##"', { V: 'x"\nother: "1' }, 'x"\nother: "1'],
    ['spec: "##V##"', { V: '\\n\\u0041' }, '\\n\\u0041'],
    ["spec: '##V##'", { V: "it's" }, "it's"],
    ['spec: [##V##]', { V: 'a], b: [c' }, ['a], b: [c']],
    ['spec: {a: ##V##}', { V: 'x, b: y}' }, { a: 'x, b: y}' }],
    // Block scalars take whole texts, at any depth.
    ['spec: |\n  ##V##\n  end\n', { V: 'one\ntwo: 2' }, 'one\ntwo: 2\nend\n'],
    ['spec: |-\n  a=#{V}#', { V: '1' }, 'a=1'],
    ['spec: >\n  a\n  ##V##\n', { V: 'b' }, 'a b\n'],
    ['spec:\n  conf: |\n    # set ##V##\n    x', { V: '1' }, { conf: '# set 1\nx\n' }],
    // Once only.
    ['spec: ##A##', { A: '##B##', B: 'x' }, '##B##'],
    ['spec: "$(A)"', { A: '$(A)' }, '$(A)'],
    ['spec: $(A)$(B)', { A: '$(', B: 'A)' }, '$(A)'],
    ['spec: $(date)', { date: '$(date)' }, '$(date)'],
    ['spec: "##A##"', { A: '$& $1 $$' }, '$& $1 $$'],
    // What is none.
    ['spec: "$$(A)"', { A: '1' }, '$$(A)'],
    ['spec: "$$$(A)"', { A: '1' }, '$$1'],
    ['spec: x # ##UNKNOWN## $(UNKNOWN)', {}, 'x'],
    ['##BANNER##\nspec: 1', {}, 1],
    ['#{BANNER}#\n#### MORE ####\nspec: 1', {}, 1],
    ['spec: "#hashtag ##"', {}, '#hashtag ##'],
    // JSON.
    ['spec: {"a":"##A##","b":[ "$(A)" ]}', { A: '"' }, { a: '"', b: ['"'] }],
  ];
  for (const [text, values, expected] of cases) {
    it(`${JSON.stringify(text)} with ${JSON.stringify(values)}`, () => assert.deepEqual(spec(text, values), expected));
  }

  const faults: [string, string, string | RegExp][] = [
    ['is not known', 'spec: ##TAGG##', 'A token has no value: a.yml:4 ##TAGG## (near: TAG). Define the variable or add a line NAME=value to the input \'tokens\'. To keep such a text as it is, add TAGG=##TAGG## there.'],
    ['is a secret variable', 'spec: ##password##', "A token has no value: a.yml:4 ##password## (a secret variable). A secret variable is taken only where the step hands it over: add password=$(password) to the input 'tokens'. To keep such a text as it is, add password=##password## there."],
    ['stands alone on a line of a block scalar', 'spec: |\n  ##NOPE##\n', /a\.yml:5 ##NOPE##/],
    ['stands alone on a line of a quoted text', 'spec: "a\n  ##NOPE##\n  b"', /a\.yml:5 ##NOPE##/],
    ['is a key', 'spec:\n  ##NOPE##: 1', /a\.yml:5 ##NOPE##/],
    ['is in a script', 'spec: |\n  echo $(hostname)', /a\.yml:5 \$\(hostname\).*add hostname=\$\(hostname\) there/],
  ];
  for (const [what, text, message] of faults) {
    it(`that ${what} is refused`, () => refuses(() => readManifests([{ file: 'a.yml', text: HEAD + text }], tokensOf({ TAG: '1' }, ['password'])), message));
  }

  it('that makes two keys the same is refused', () => {
    refuses(() => spec('spec:\n  a: 1\n  x##K##: 2\n  ##L##a: 3', { K: '', L: '' }), /a\.yml:7:3: the key 'a' is there twice \(first in line 5\)/);
  });

  it('is told with all others of all files, the first ten by name', () => {
    const texts = [1, 2, 3].map((file) => ({ file: `${file}.yml`, text: `${HEAD.replace('name: a', `name: a${file}`)}spec: [${[1, 2, 3, 4].map((n) => `##T${file}${n}##`).join(', ')}]` }));
    refuses(() => readManifests(texts, none), /^12 tokens have no value: 1\.yml:4 ##T11##; .*3\.yml:4 ##T32## and 2 more\. /);
  });

  it('is found on the right line in every document, with CRLF and a byte order mark', () => {
    const text = `\uFEFF${HEAD}---\n${HEAD}spec: ##NOPE##\n`.replaceAll('\n', '\r\n');
    refuses(() => readManifests([{ file: 'a.yml', text }], none), /: a\.yml:8 ##NOPE##\./);
  });

  it('does not shift the columns of a fault', () => {
    refuses(() => spec('spec: [##LONGER_NAME##, "a" "b"]', { LONGER_NAME: '1' }), /^a\.yml:4:29: /);
  });

  it('is named, not its stand-in, in a fault', () => refuses(() => spec('spec: *##A##', { A: 'x' }), /##A##/));
});

describe('$(NAME) in a container', () => {
  const container = (text: string) => `spec:\n  template:\n    spec:\n      containers:\n      - name: c\n${text.split('\n').map((line) => `        ${line}`).join('\n')}`;
  const read = (text: string, values: Record<string, string> = {}) =>
    (spec(container(text), values) as { template: { spec: { containers: Record<string, unknown>[] } } }).template.spec.containers[0];

  it("stays in command and args where the container's env defines the name, whatever the pipeline has", () => {
    const { command, args } = read('env:\n- {name: PORT, value: "80"}\ncommand: ["run", "$(PORT)"]\nargs: ["--port=$(PORT)", "--tag=$(TAG)"]', { PORT: '9', TAG: 't' }) ?? {};
    assert.deepEqual([command, args], [['run', '$(PORT)'], ['--port=$(PORT)', '--tag=t']]);
  });

  it('stays in an env value where an earlier entry defines it, and is replaced where it names itself or a later one', () => {
    const { env } = read('env:\n- {name: A, value: $(A)}\n- {name: B, value: $(A)-$(C)}\n- {name: C, value: c}', { A: 'x', C: 'y' }) ?? {};
    assert.deepEqual(env, [{ name: 'A', value: 'x' }, { name: 'B', value: '$(A)-y' }, { name: 'C', value: 'c' }]);
  });

  it('stays with envFrom where the pipeline does not know the name', () => {
    const { args } = read('envFrom: [{configMapRef: {name: x}}]\nargs: ["$(FROM_MAP)", "$(TAG)"]', { TAG: 't' }) ?? {};
    assert.deepEqual(args, ['$(FROM_MAP)', 't']);
  });

  it("stays where it is a service's address", () => {
    assert.deepEqual(read('args: ["$(DB_SERVICE_HOST):$(DB_SERVICE_PORT)"]')?.['args'], ['$(DB_SERVICE_HOST):$(DB_SERVICE_PORT)']);
  });

  it('stays in subPathExpr, and where env is an alias', () => {
    const text = 'env: &shared\n- {name: POD, value: p}\nvolumeMounts:\n- {name: v, mountPath: /v, subPathExpr: $(POD)}';
    assert.deepEqual(read(text)?.['volumeMounts'], [{ name: 'v', mountPath: '/v', subPathExpr: '$(POD)' }]);
    const two = spec(`spec:\n  containers:\n  - env: &e [{name: A, value: a}]\n  - env: *e\n    args: [$(A)]`) as { containers: { args?: string[] }[] };
    assert.deepEqual(two.containers[1]?.args, ['$(A)']);
  });

  it('is replaced in other fields, and ##NAME## everywhere', () => {
    const { image, args } = read('image: app:$(PORT)\nenv:\n- {name: PORT, value: "80"}\nargs: ["##PORT##"]', { PORT: '9' }) ?? {};
    assert.deepEqual([image, args], ['app:9', ['9']]);
  });

  it('is refused where nobody knows it', () => refuses(() => read('args: ["$(TYPO)"]'), /a\.yml:\d+ \$\(TYPO\)/));
});

describe('A manifest', () => {
  const values: [string, unknown][] = [
    ['spec: {on: 1, 0644: 2, 1.10: 3, true: 4}'.replace(', true: 4', ''), { true: 1, 420: 2, '1.1': 3 }],
    ['spec: {defaultMode: 0644, cron: 12:30, date: 2001-12-14, off: "off", v: 1_000}', { defaultMode: 420, cron: '12:30', date: '2001-12-14', false: 'off', v: 1000 }],
    ['spec: {a: &x {b: 1}, c: {<<: *x, d: 2}}', { a: { b: 1 }, c: { b: 1, d: 2 } }],
    ['spec: "\\u00e9\\/"', 'é/'],
    ['spec:\n\t{"a": 1}'.replace('\t', '  '), { a: 1 }],
    ['spec: {a: , b: ~, c: ""}', { a: null, b: null, c: '' }],
    ['spec: {__proto__: {x: 1}}', JSON.parse('{"__proto__": {"x": 1}}')],
  ];
  for (const [text, value] of values) it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(spec(text), value));

  it('may hold several documents; empty ones and comments are left out', () => {
    const text = `# first\n---\n---\n${HEAD}---\n# only a comment\n---\n${HEAD.replace('name: a', 'name: b')}...\n`;
    const objects = readManifests([{ file: 'x/a.yml', text }], none);
    assert.deepEqual(objects.map(({ object, file, line }) => [object.metadata.name, file, line]), [['a', 'x/a.yml', 4], ['b', 'x/a.yml', 10]]);
  });

  it('may be JSON with tabs', () => {
    const [place] = readManifests([{ file: 'a.json', text: '{\n\t"apiVersion": "v1",\n\t"kind": "Thing",\n\t"metadata": {\n\t\t"name": "a"\n\t}\n}\n' }], none);
    assert.deepEqual(place?.object, { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' } });
  });

  it('may be empty', () => assert.deepEqual(readManifests([{ file: 'a.yml', text: '' }, { file: 'b.yml', text: '# x\n' }, { file: 'c.yml', text: 'null' }], none), []));

  it('may be a List or a list of one kind', () => {
    const list = 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n  metadata: {name: a}\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: b}\n';
    const objects = readManifests([{ file: 'a.yml', text: list }, { file: 'b.yml', text: 'apiVersion: v1\nkind: List\nitems: []' }], none);
    assert.deepEqual(objects.map(({ object, line }) => [object.apiVersion, object.kind, object.metadata.name, line]), [['v1', 'A', 'a', 4], ['v1', 'ConfigMap', 'b', 7]]);
  });

  const bomb = `spec:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n${'bcdefgh'.split('').map((name, index) => `  ${name}: &${name} [${Array(10).fill(`*${'abcdefg'[index] ?? ''}`).join(', ')}]`).join('\n')}`;
  const faults: [string, string, RegExp][] = [
    ['is no YAML', `${HEAD}spec: [a\nb: c`, /^a\.yml:5:1: /],
    ['is indented with a tab', `${HEAD}spec:\n\ta: 1`, /^a\.yml:5:1: Tabs/],
    ['has a key twice', `${HEAD}spec: {a: 1, a: 2}`, /^a\.yml:4:14: the key 'a' is there twice \(first in line 4\)/],
    ['has a key twice after YAML has read it', `${HEAD}spec: {on: 1, "true": 2}`, /the key 'true' is there twice/],
    ['has a key that is null', `${HEAD}spec: {~: 1}`, /^a\.yml:4:8: a key is null/],
    ['has a key that is a list', `${HEAD}spec: {[a]: 1}`, /^a\.yml:4:8: a key is not a single value/],
    ['has an alias without anchor', `${HEAD}spec: *x`, /^a\.yml:4:7: nothing before it is marked with '&x'\./],
    ['grows by aliases without end', `${HEAD}${bomb}`, /^a\.yml:1:1: Excessive alias count/],
    ['has a tag of its own', `${HEAD}spec: !!binary aGk=`, /^a\.yml:4:7: Unresolved tag/],
    ['has infinity', `${HEAD}spec: .inf`, /^a\.yml:4:7: '\.inf' is a number that JSON cannot carry\. Put it in quotes\./],
    ['has a number too large', `${HEAD}spec: 9007199254740993`, /too large to be carried exactly/],
    ['is nested without end', `${HEAD}spec: ${'['.repeat(20000)}`, /^a\.yml:4:20\d: this is nested in more than 200 levels\./],
    ['is nested without end in dashes', `${HEAD}spec:\n${'- '.repeat(20000)}`, /^a\.yml:5:\d+: this is nested in more than 200 levels\./],
    ['has characters that are none', `${HEAD}spec: "\uFDD0"`, /^a\.yml:4 has a character that is none \(U\+FDD0\)/],
    ['is no object', 'just text', /^a\.yml:1: this is not a Kubernetes object/],
    ['is a list', `${HEAD}---\n- a`, /^a\.yml:5: this is not a Kubernetes object/],
    ['has no apiVersion', `${HEAD}---\nkind: A`, /^a\.yml:5: this object has no apiVersion/],
    ['has no kind', 'apiVersion: v1', /^a\.yml:1: this object has no kind/],
    ['has a kind that is a number', 'apiVersion: v1\nkind: 1', /has no kind/],
    ['has no metadata', 'apiVersion: v1\nkind: A', /^a\.yml:1: this object has no metadata\.name \(A\)/],
    ['has a number for a name', 'apiVersion: v1\nkind: A\nmetadata: {name: 12}', /^a\.yml:1: the metadata\.name of this A is not a text: YAML takes it for 12\./],
    ['has a namespace that YAML takes for false', 'apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: n}', /^a\.yml:1: the metadata\.namespace of this A is not a text: YAML takes it for false\. Put it in quotes\./],
    ['has a generateName', 'apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}', /^a\.yml:1: this Job has a generateName.*##Build\.BuildId##/],
    ['is a kustomization', 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yml]', /^a\.yml:1: this is a kustomization.*input 'kustomize'/],
    ['is a list with an item that is none', 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n- x', /^a\.yml:4: this object has no kind/],
    ['has an object twice', `${HEAD}---\n${HEAD}`, /^Thing 'a' is there twice: a\.yml:1 and a\.yml:5\. Keep one/],
    ['has an object twice in two versions', 'apiVersion: x/v1\nkind: A\nmetadata: {name: a, namespace: ns}\n---\napiVersion: x/v2\nkind: A\nmetadata: {name: a, namespace: ns}', /^A 'a' of namespace 'ns' is there twice/],
    ['has an object above 3 MiB', `${HEAD}spec: [&a "${'x'.repeat(1024 * 1024)}", *a, *a]`, /^a\.yml:1: Thing a is larger than 3 MiB/],
    ['has a number as a label', 'apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  labels: {build: 12}', /^a\.yml:5:19: the value of 'build' must be a text, and YAML takes it for a number\. Put it in quotes\./],
    ["has a boolean in a pod template's annotations", `${HEAD}spec: {template: {metadata: {annotations: {inject: yes}}}}`, /'inject' must be a text, and YAML takes it for true or false/],
    ['has a number in env', `${HEAD}spec: {containers: [{env: [{name: PORT, value: 80}]}]}`, /the value of 'value' must be a text/],
    ['has a number in a ConfigMap', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {port: 80}', /^a\.yml:4:14: the value of 'port' must be a text/],
  ];
  for (const [what, text, message] of faults) it(`that ${what} is refused`, () => refuses(() => readManifests([{ file: 'a.yml', text }], none), message));

  const fine: [string, string][] = [
    ['the same name in two namespaces', 'apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: m}\n---\napiVersion: v1\nkind: A\nmetadata: {name: a, namespace: o}'],
    ['the same name in two groups', 'apiVersion: x/v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: y/v1\nkind: A\nmetadata: {name: a}'],
    ['numbers in the labels of a custom resource', `${HEAD}spec: {labels: {severity: 1}, data: {x: 2}, env: {value: 3}}`],
  ];
  for (const [what, text] of fine) it(`may have ${what}`, () => assert.doesNotThrow(() => readManifests([{ file: 'a.yml', text }], none)));
});

describe('The files of manifests', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'release-guard-manifests-'));
    for (const [index, file] of ['k8s/b.yml', 'k8s/a.yaml', 'k8s/c.json', 'k8s/.hidden.yml', 'k8s/README.md', 'k8s/dev/d.yml', 'k8s/dev/x[1].yml', 'other/B.yml', 'other/a.yml', 'no-manifests/x.txt', 'empty/e.yml'].entries()) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      const object = `apiVersion: v1\nkind: Thing\nmetadata:\n  name: n${index}\n`;
      writeFileSync(join(folder, file), file.startsWith('empty') ? '# nothing\n' : file.endsWith('.json') ? JSON.stringify({ apiVersion: 'v1', kind: 'Thing', metadata: { name: `n${index}` } }) : object);
    }
    writeFileSync(join(folder, 'binary.yml'), Buffer.from([0xff, 0xfe, 0x61, 0x00]));
    symlinkSync(join(folder, 'k8s'), join(folder, 'k8s', 'loop'), 'junction');
  });
  after(() => rmSync(folder, { recursive: true }));

  const cases: [string[], string[]][] = [
    [['k8s'], ['k8s/a.yaml', 'k8s/b.yml', 'k8s/c.json']],
    [['k8s/'], ['k8s/a.yaml', 'k8s/b.yml', 'k8s/c.json']],
    [['./k8s/b.yml'], ['k8s/b.yml']],
    [['k8s/*'], ['k8s/a.yaml', 'k8s/b.yml', 'k8s/c.json']],
    [['k8s/*.{yml,yaml}'], ['k8s/a.yaml', 'k8s/b.yml']],
    [['k8s/*.md'], ['k8s/README.md']],
    [['./k8s/dev/**'], ['k8s/dev/d.yml', 'k8s/dev/x[1].yml']],
    [['k8s/dev/x[1].yml'], ['k8s/dev/x[1].yml']],
    [['k8s/?.yml', 'k8s/b.yml', 'k8s/a.yaml'], ['k8s/b.yml', 'k8s/a.yaml']],
    [['other/*.yml', 'k8s/c.json'], ['other/B.yml', 'other/a.yml', 'k8s/c.json']],
    [['k8s/dev/*', '!k8s/dev/d.yml'], ['k8s/dev/x[1].yml']],
    [['!**/d.yml', 'k8s/dev/*'], ['k8s/dev/x[1].yml']],
    [['other', 'k8s/dev/d.yml', '!k8s/dev'], ['other/B.yml', 'other/a.yml']],
    [['other', 'k8s', '!k8s/'], ['other/B.yml', 'other/a.yml']],
    [['k8s', '!nothing/here'], ['k8s/a.yaml', 'k8s/b.yml', 'k8s/c.json']],
    [['k8s/.hidden.yml'], ['k8s/.hidden.yml']],
  ];
  for (const [patterns, files] of cases) it(`of ${patterns.join(' and ')}`, async () => assert.deepEqual(await findManifestFiles(patterns, folder), files));

  it('may be named absolutely and from below', async () => {
    assert.deepEqual(await findManifestFiles([join(folder, 'other', '*.yml')], folder), ['other/B.yml', 'other/a.yml']);
    assert.deepEqual(await findManifestFiles(['../other/a.yml', '../k8s/[a]*'], join(folder, 'other')), ['a.yml', '../k8s/a.yaml']);
  });

  const faults: [string[], RegExp][] = [
    [['k8s', 'k9s/*.yml'], /^No file matches 'k9s\/\*\.yml' \(input 'manifests'\) in .*release-guard-manifests-/],
    [['no-manifests'], /^No file matches 'no-manifests'/],
    [['no-manifests/**'], /^No file matches/],
    [['none.yml'], /^No file matches 'none\.yml'/],
    [[], /names no files/],
    [['!k8s'], /names no files/],
    [['k8s', '!k8s/**'], /are excluded again/],
    [['binary.yml'], /^binary\.yml is not a text in UTF-8/],
    [['empty'], /^There is no object in empty\/e\.yml/],
  ];
  for (const [patterns, message] of faults) {
    it(`are refused for ${patterns.join(' and ') || 'no pattern'}`, () => assert.rejects(loadManifests({ patterns, tokens: none, folder }), (error) => isUserError(error, message)));
  }

  it('are read in their order with their names', async () => {
    const objects = await loadManifests({ patterns: ['k8s/dev/d.yml', 'k8s'], tokens: none, folder });
    assert.deepEqual(objects.map(({ object, file, line }) => `${file}:${line} ${object.metadata.name}`), ['k8s/dev/d.yml:1 n5', 'k8s/a.yaml:1 n1', 'k8s/b.yml:1 n0', 'k8s/c.json:1 n2']);
  });

  it('are found with the separators of Windows there, and only there', () => {
    assert.equal(globPattern('k8s\\dev\\*.yml', 'win32'), 'k8s/dev/*.yml');
    assert.equal(globPattern('.\\k8s\\*.yml', 'win32'), 'k8s/*.yml');
    assert.equal(globPattern('k8s/\\*.yml', 'linux'), 'k8s/\\*.yml');
  });

  it('written with the separators of Windows elsewhere are refused with the remedy', async function () {
    if (process.platform === 'win32') return this.skip();
    await assert.rejects(findManifestFiles(['k8s\\*.yml'], folder), (error) => isUserError(error, /Write '\/' between folders\./));
  });
});
