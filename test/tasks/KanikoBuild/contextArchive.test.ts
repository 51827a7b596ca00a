import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract, type Headers } from 'tar-stream';
import { contextArchive, largestFolders, listContext } from '../../../tasks/KanikoBuild/contextArchive';

interface TarEntry extends Headers {
  content: string;
}

/** Path → text; `null` makes a folder, `-> x` a link to x. */
type Tree = Record<string, string | null>;

describe('the build context', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(tmpdir(), 'kaniko-context-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  const plant = (tree: Tree): void => {
    for (const [name, content] of Object.entries({ Dockerfile: 'FROM scratch\n', ...tree })) {
      const file = path.join(folder, name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      if (content === null) fs.mkdirSync(file, { recursive: true });
      else if (content.startsWith('-> ')) fs.symlinkSync(content.slice(3), file);
      else fs.writeFileSync(file, content);
    }
  };
  const entriesOf = async (dockerfile = 'Dockerfile') => (await listContext(folder, { kind: 'inside', name: dockerfile })).entries;
  const listed = async (dockerfile = 'Dockerfile') => (await entriesOf(dockerfile)).map(({ name }) => name);
  const sent = async (dockerfile = 'Dockerfile') => archiveOf(contextArchive(await entriesOf(dockerfile)));

  describe('leaves out what .dockerignore names:', () => {
    const tree: Tree = {
      'a.log': '1', 'keep.log': '1', 'src/a.ts': '1', 'src/a.log': '1', 'src/deep/b.log': '1', 'src/deep/b.ts': '1',
      'node_modules/x/index.js': '1', 'docs/readme.md': '1', 'docs/images/logo.png': '1', 'build': null, '.git/config': '1', 'notes.md': '1', 'a b.txt': '1',
    };
    const all = ['.git', '.git/config', 'Dockerfile', 'a b.txt', 'a.log', 'build', 'docs', 'docs/images', 'docs/images/logo.png', 'docs/readme.md', 'keep.log', 'node_modules', 'node_modules/x', 'node_modules/x/index.js', 'notes.md', 'src', 'src/a.log', 'src/a.ts', 'src/deep', 'src/deep/b.log', 'src/deep/b.ts'];
    const cases: [string, string, string[]][] = [
      ['nothing by an empty file', '', []],
      ['nothing by comments and blank lines', '# *.log\n\n   \n', []],
      ['a file', 'a.log', ['a.log']],
      ['a file, with a slash before it', '/a.log', ['a.log']],
      ['a file, with ./ before it', './a.log', ['a.log']],
      ['a folder with all that is in it', 'node_modules', ['node_modules', 'node_modules/x', 'node_modules/x/index.js']],
      ['a folder with a slash behind it', 'node_modules/', ['node_modules', 'node_modules/x', 'node_modules/x/index.js']],
      ['what is in a folder, but not the folder', 'docs/*', ['docs/images', 'docs/images/logo.png', 'docs/readme.md']],
      ['all below a folder', 'docs/**', ['docs/images', 'docs/images/logo.png', 'docs/readme.md']],
      ['by a star, at the top only', '*.log', ['a.log', 'keep.log']],
      ['by two stars, at any depth', '**/*.log', ['a.log', 'keep.log', 'src/a.log', 'src/deep/b.log']],
      ['by two stars in the middle', 'src/**/b.*', ['src/deep/b.log', 'src/deep/b.ts']],
      ['a name at any depth', '**/deep', ['src/deep', 'src/deep/b.log', 'src/deep/b.ts']],
      ['one step below the top', '*/*.log', ['src/a.log']],
      ['by a question mark', '?.log', ['a.log']],
      ['by a range', '[a-b].log', ['a.log']],
      ['a name that starts with a dot', '.git', ['.git', '.git/config']],
      ['a name with a space, blanks around it cut', '  a b.txt  ', ['a b.txt']],
      ['all but an exception', '*.log\n!keep.log', ['a.log']],
      ['by the last line that fits', '*.log\n!keep.log\nkeep.*', ['a.log', 'keep.log']],
      ['a folder but for a file in it', 'docs\n!docs/readme.md', ['docs/images', 'docs/images/logo.png']],
      ['a folder but for a file deep in it', 'src\n!src/deep/b.ts', ['src/a.log', 'src/a.ts', 'src/deep/b.log']],
      ['everything but a folder', '*\n!src', all.filter((name) => name !== 'Dockerfile' && !name.startsWith('src'))],
      ['everything but files of one kind', '**\n!**/*.ts', all.filter((name) => !['Dockerfile', 'src', 'src/a.ts', 'src/deep', 'src/deep/b.ts'].includes(name))],
      ['with line ends of Windows', '*.log\r\n!keep.log\r\n', ['a.log']],
      ['with a byte order mark', '\uFEFFa.log', ['a.log']],
      ['paths that go up and down again', 'docs/../a.log', ['a.log']],
      ['nothing of another case', 'A.LOG', []],
    ];
    for (const [what, patterns, left] of cases) {
      it(what, async () => {
        plant({ ...tree, '.dockerignore': patterns });
        assert.deepEqual((await listed()).filter((name) => name !== '.dockerignore'), all.filter((name) => !left.includes(name)));
      });
    }

    it('takes the file that belongs to the Dockerfile instead, where there is one', async () => {
      plant({ 'a.log': '1', 'b.txt': '1', '.dockerignore': '*.log', 'docker/Dev.Dockerfile': 'FROM scratch', 'docker/Dev.Dockerfile.dockerignore': '*.txt' });
      assert.deepEqual(await listed('docker/Dev.Dockerfile'), ['.dockerignore', 'Dockerfile', 'a.log', 'docker', 'docker/Dev.Dockerfile', 'docker/Dev.Dockerfile.dockerignore']);
    });

    it('always sends the Dockerfile and the ignore files, with the folders on the way', async () => {
      plant({ 'docker/app/Dockerfile': 'FROM scratch', 'docker/app/other': '1', 'docker/b': '1', '.dockerignore': '**' });
      assert.deepEqual(await listed('docker/app/Dockerfile'), ['.dockerignore', 'docker', 'docker/app', 'docker/app/Dockerfile']);
    });

    for (const [patterns, looksIn] of [['node_modules', false], ['node_modules\n!node_modules/x', true]] as const) {
      it(`looks into an ignored folder only where there are exceptions: ${patterns.includes('!')}`, async () => {
        plant({ 'node_modules/x/index.js': '1', '.dockerignore': patterns });
        const read = fs.promises.readdir;
        const folders: string[] = [];
        Object.assign(fs.promises, { readdir: (name: string) => (folders.push(path.basename(name)), read(name)) });
        try {
          await listed();
        } finally {
          Object.assign(fs.promises, { readdir: read });
        }
        assert.equal(folders.includes('node_modules'), looksIn);
      });
    }
  });

  it('is the same bytes for the same tree, whenever and in whatever order it was made', async () => {
    const files: Tree = { 'b/2': 'two', 'a/1': 'one', 'ä': 'umlaut', [`${'long/'.repeat(30)}name`]: 'long', 'link': '-> a/1' };
    plant(files);
    const first = await bytesOf(contextArchive(await entriesOf()));
    fs.rmSync(folder, { recursive: true });
    fs.mkdirSync(folder);
    plant(Object.fromEntries(Object.entries(files).reverse()));
    fs.utimesSync(path.join(folder, 'a/1'), 1, 1);
    const second = await bytesOf(contextArchive(await entriesOf()));
    assert.equal(createHash('sha256').update(second).digest('hex'), createHash('sha256').update(first).digest('hex'));
  });

  it('begins with an entry of the root, whose mode the target of COPY . takes', async () => {
    plant({});
    const [root] = await sent();
    assert.equal(root?.name, './');
    assert.equal(root?.type, 'directory');
    assert.equal(root?.mode, 0o755);
  });

  it('says nothing of owners and times, and keeps modes', async () => {
    plant({ 'run.sh': '#!/bin/sh\n', 'data/x': '1' });
    fs.chmodSync(path.join(folder, 'run.sh'), 0o4751);
    fs.chmodSync(path.join(folder, 'data'), 0o700);
    const entries = await sent();
    for (const { uid, gid, uname, gname, mtime } of entries) assert.deepEqual([uid, gid, uname, gname, mtime?.getTime()], [0, 0, '', '', 0]);
    assert.equal(entries.find(({ name }) => name === 'run.sh')?.mode, 0o4751);
    assert.equal(entries.find(({ name }) => name === 'data/')?.mode, 0o700);
  });

  it('carries names of any length and script, and files of any size', async () => {
    const long = `${'deep/'.repeat(40)}${'n'.repeat(120)}`;
    plant({ [long]: 'x', 'Größe 日本.txt': 'y', empty: '', big: 'z'.repeat(300_001) });
    const entries = await sent();
    const content = (name: string) => entries.find((entry) => entry.name === name)?.content;
    assert.equal(content(long), 'x');
    assert.equal(content('Größe 日本.txt'), 'y');
    assert.equal(content('empty'), '');
    assert.equal(content('big')?.length, 300_001);
  });

  it('keeps links as links, also those that lead outside, to folders or nowhere', async () => {
    plant({ 'src/a': '1', 'to-file': '-> src/a', 'to-folder': '-> src', outside: '-> /etc', nowhere: '-> gone' });
    const links = (await sent()).filter(({ type }) => type === 'symlink').map(({ name, linkname }) => [name, linkname]);
    assert.deepEqual(links, [['nowhere', 'gone'], ['outside', '/etc'], ['to-file', 'src/a'], ['to-folder', 'src']]);
  });

  it('has 64 KiB of zeros behind its end, within the gzip, so that nobody has to wait for the end of the input', async () => {
    plant({ a: '1' });
    const tar = gunzipSync(await bytesOf(contextArchive(await entriesOf())));
    const lastByte = tar.findLastIndex((byte) => byte !== 0);
    // Two blocks of 512 bytes end an archive.
    assert.ok(tar.length - lastByte > 64 * 1024 + 1024, `only ${tar.length - lastByte} bytes`);
    assert.equal(tar.length % 512, 0);
  });

  it('refuses what is neither file nor folder nor link, unless it is ignored', async () => {
    plant({});
    const server = createServer().listen(path.join(folder, 'agent.sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    await assert.rejects(listed(), { name: 'UserError', message: "'agent.sock' in the build context is neither a file nor a folder nor a link. Remove it, or leave it out by .dockerignore." });
    plant({ '.dockerignore': '*.sock' });
    assert.deepEqual(await listed(), ['.dockerignore', 'Dockerfile']);
    await new Promise((resolve) => server.close(resolve));
  });

  describe('with a Dockerfile from elsewhere', () => {
    let elsewhere: string;
    beforeEach(() => {
      elsewhere = fs.mkdtempSync(path.join(tmpdir(), 'kaniko-dockerfile-'));
      fs.writeFileSync(path.join(elsewhere, 'Outer.Dockerfile'), 'FROM outer\n');
    });
    afterEach(() => fs.rmSync(elsewhere, { recursive: true, force: true }));
    const outer = () => listContext(folder, { kind: 'outside', file: path.join(elsewhere, 'Outer.Dockerfile') });
    const sentOuter = async () => archiveOf(contextArchive((await outer()).entries));

    it('sends it along, and keeps it out of what COPY . sees', async () => {
      plant({ 'a.log': '1', 'b.txt': '1', '.dockerignore': '*.log' });
      const { dockerfile } = await outer();
      const files = await sentOuter();
      assert.equal(files.find(({ name }) => name === dockerfile)?.content, 'FROM outer\n');
      assert.deepEqual(files.map(({ name }) => name).filter((name) => !name.startsWith(dockerfile)), ['./', '.dockerignore', 'Dockerfile', 'b.txt']);
      assert.equal(files.find(({ name }) => name === `${dockerfile}.dockerignore`)?.content, `*.log\n${dockerfile}\n${dockerfile}.dockerignore\n`);
    });

    it('takes the ignore file beside it', async () => {
      plant({ 'a.log': '1', 'b.txt': '1', '.dockerignore': '*.log' });
      fs.writeFileSync(path.join(elsewhere, 'Outer.Dockerfile.dockerignore'), '*.txt\n');
      const { dockerfile } = await outer();
      assert.deepEqual((await sentOuter()).map(({ name }) => name).filter((name) => !name.startsWith(dockerfile)), ['./', '.dockerignore', 'Dockerfile', 'a.log']);
    });

    it('sends what a link leads to', async () => {
      plant({});
      fs.symlinkSync('Outer.Dockerfile', path.join(elsewhere, 'link'));
      const { entries, dockerfile } = await listContext(folder, { kind: 'outside', file: path.join(elsewhere, 'link') });
      const [entry] = await archiveOf(contextArchive(entries.filter(({ name }) => name === dockerfile))).then((files) => files.slice(1));
      assert.deepEqual([entry?.type, entry?.content], ['file', 'FROM outer\n']);
    });
  });

  it('tells how much of the files is packed', async () => {
    plant({ small: 'x'.repeat(1000), big: 'y'.repeat(200_000) });
    const told: number[] = [];
    await bytesOf(contextArchive(await entriesOf(), (bytes) => told.push(bytes)));
    assert.deepEqual(told.at(-1), 'FROM scratch\n'.length + 201_000);
    assert.deepEqual(told, [...told].sort((a, b) => a - b));
  });

  it('cuts a file that grows while it is sent at the size that was told', async () => {
    plant({ growing: 'x'.repeat(100_000), after: 'fine' });
    const entries = await entriesOf();
    fs.appendFileSync(path.join(folder, 'growing'), 'y'.repeat(50_000));
    const read = await archiveOf(contextArchive(entries));
    assert.equal(read.find(({ name }) => name === 'growing')?.content, 'x'.repeat(100_000));
    assert.equal(read.find(({ name }) => name === 'after')?.content, 'fine');
  });

  for (const size of [100, 200_000]) {
    it(`names a file of ${size} bytes that may not be read (skipped for root, who may read all)`, async function () {
      if (process.getuid?.() === 0) return this.skip();
      plant({ 'data/secret': 'x'.repeat(size) });
      fs.chmodSync(path.join(folder, 'data/secret'), 0);
      await assert.rejects(listed(), { name: 'UserError', message: /^'data\/secret' in the build context cannot be read: EACCES/ });
    });
  }

  const vanishing: [string, (file: string) => void, RegExp][] = [
    ['shrinks', (file) => fs.truncateSync(file, 10), /^'data\/file' in the build context changed while it was sent\. Let nothing write into the context/],
    ['becomes empty', (file) => fs.truncateSync(file, 0), /^'data\/file' in the build context changed while it was sent\. /],
    ['is gone', (file) => fs.rmSync(file), /^'data\/file' in the build context cannot be read: ENOENT/],
  ];
  for (const [what, change, message] of vanishing) {
    for (const size of [20_000, 200_000]) {
      it(`fails with a file's name when one of ${size} bytes ${what} before it is sent`, async () => {
        plant({ 'data/file': 'x'.repeat(size), 'z': '1' });
        const entries = await entriesOf();
        change(path.join(folder, 'data/file'));
        await assert.rejects(bytesOf(contextArchive(entries)), { name: 'UserError', message });
      });
    }
  }

  it('lets go of its files when the reader goes away', async () => {
    plant({ big: 'x'.repeat(5_000_000) });
    const archive = contextArchive(await entriesOf());
    await new Promise((resolve) => archive.once('readable', resolve));
    archive.destroy();
    const open = () => (fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd') : []).map((fd) => readLink(`/proc/self/fd/${fd}`)).filter((file) => file.startsWith(folder));
    // A read that is on its way comes to its end first.
    for (const since = Date.now(); open().length > 0 && Date.now() - since < 10_000; ) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(open(), []);
  });

  it('packs no more than its reader takes', async () => {
    plant({});
    const noise = createHash('sha512').update('x').digest();
    fs.writeFileSync(path.join(folder, 'big'), Buffer.concat(Array.from({ length: 400_000 }, (_, i) => Buffer.concat([noise, Buffer.of(i & 255, i >> 8)]))));
    const archive = contextArchive(await entriesOf());
    await new Promise((resolve) => archive.once('readable', resolve));
    const read = () => Number(/rchar: (\d+)/.exec(fs.existsSync('/proc/self/io') ? fs.readFileSync('/proc/self/io', 'utf8') : '')?.[1] ?? 0);
    const before = read();
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(read() - before < 8 * 1024 * 1024, 'it reads on though nobody takes it');
    archive.destroy();
  });
});

describe('the largest folders of a context', () => {
  const entry = (name: string, size: number) => ({ name, source: '', kind: 'file', mode: 0o644, size }) as const;

  it('are told with all that is in them, the largest first', () => {
    const entries = [entry('a/1', 10), entry('a/b/2', 20), entry('c/3', 25), entry('top', 1000)];
    assert.deepEqual(largestFolders(entries, 10), [{ name: 'a', size: 30 }, { name: 'c', size: 25 }, { name: 'a/b', size: 20 }]);
  });

  it('leave out one that is large by a single folder in it', () => {
    assert.deepEqual(largestFolders([entry('web/node_modules/x/1', 500), entry('web/node_modules/y/1', 400), entry('web/src/1', 10)], 2), [
      { name: 'web/node_modules', size: 900 },
      { name: 'web/node_modules/x', size: 500 },
    ]);
  });

  it('are not more than asked for', () => {
    assert.equal(largestFolders(Array.from({ length: 30 }, (_, index) => entry(`d${index}/f`, index)), 10).length, 10);
  });
});

function readLink(file: string): string {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
}

async function bytesOf(archive: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function archiveOf(archive: Readable): Promise<TarEntry[]> {
  const tar = gunzipSync(await bytesOf(archive));
  const entries: TarEntry[] = [];
  const reader = extract();
  Readable.from([tar]).pipe(reader);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry as unknown as AsyncIterable<Buffer>) chunks.push(chunk);
    entries.push({ ...(entry as unknown as { header: Headers }).header, content: Buffer.concat(chunks).toString('utf8') });
  }
  return entries;
}
