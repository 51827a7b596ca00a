import assert from 'node:assert/strict';
import dns from 'node:dns';
import { chrootRunner } from '../../../rehearsal/kaniko/commandRunner';
import { baseLayer } from './baseImage';
import { observedFacts, recordedFacts } from './observedRun';
import { addImage } from '../../../rehearsal/registry/addImage';
import { RecordedRegistries } from './recordedRegistries';
import { readTranscripts, type RecordedVersion, type Transcript } from './transcript';
import { unfollowed } from './unfollowed';

const folder = process.env['KANIKO_TRANSCRIPTS'];
const base = { config: { Cmd: ['sh'], Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] }, history: [{ created_by: 'busybox' }] };

/** All recorded runs of one version; a file of its own for each lets them be tried side by side. */
export function transcriptContract(version: RecordedVersion): void {
  describe(`the stand-in for the Kaniko executor, against recorded runs of v${version}`, () => {
    let registries: RecordedRegistries;
    let baseDigest: string;
    let hasShell = false;
    const realLookup = dns.lookup;

    before(async function () {
      if (!folder) {
        console.log('      skipped: KANIKO_TRANSCRIPTS does not name the folder of the recorded runs');
        return this.skip();
      }
      registries = await RecordedRegistries.start();
      const layer = await baseLayer(readTranscripts(folder, '1.24.0'));
      hasShell = layer.hasShell;
      baseDigest = (await addImage(registries.main.url, 'library/busybox', '1.35', { ...base, tar: layer.tar })) ?? '';
      const authorization = `Basic ${Buffer.from('bob:s3cret').toString('base64')}`;
      await addImage(registries.server('AUTH_REGISTRY').url, 'library/busybox', '1.35', { ...base, tar: layer.tar }, { authorization });
      // As in the recordings: one name is known, all others get no answer.
      const lookup = ((name: string, options: { all?: boolean }, done: (error: Error | null, ...found: unknown[]) => void) => {
        if (name !== 'registry.test') return done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }));
        return options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
      }) as unknown as typeof dns.lookup;
      dns.lookup = lookup;
    });

    after(async () => {
      dns.lookup = realLookup;
      if (folder) await registries.stop();
    });

    const transcripts = folder ? readTranscripts(folder, version) : [];

    it('lists no case that was not recorded', () => {
      if (!folder) return;
      const names = new Set(transcripts.map(({ name }) => name));
      assert.deepEqual(Object.keys(unfollowed[version]).filter((name) => !names.has(name)), []);
    });

    for (const transcript of transcripts) {
      const reason = unfollowed[version][transcript.name];
      it(`${transcript.name}${reason === undefined ? '' : ` (not followed: ${reason})`}`, async function () {
        if (runsCommands(transcript) && (!chrootRunner() || !hasShell)) {
          this.test!.title += ' (skipped: RUN takes root, and the busybox of KUBE_LOCAL)';
          return this.skip();
        }
        const observed = await observedFacts(transcript, registries, baseDigest);
        const compare = (): void => assert.deepEqual(observed, recordedFacts(transcript));
        if (reason === undefined) compare();
        else assert.throws(compare, assert.AssertionError, 'the stand-in does follow it: take it off the list');
      });
    }
  });
}

/** Whether its Dockerfile has a RUN that is executed. */
function runsCommands({ contextFiles, otherFiles, stderr }: Transcript): boolean {
  return /Running: \[/.test(stderr) || (/^RUN /m.test(JSON.stringify([contextFiles, otherFiles])) && /Unpacking rootfs as cmd RUN/.test(stderr));
}
