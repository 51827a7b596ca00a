import assert from 'node:assert/strict';
import { inDanger, mountPoints } from '../../../tasks/KanikoBuild/localRisk';

describe('what a local build would wipe', () => {
  const mountinfo = ['1 0 0:1 / / rw - overlay overlay rw', '2 1 0:2 /w /__w rw - ext4 /dev/sda rw', '3 1 0:3 / /with\\040blank rw - tmpfs tmpfs rw', ''].join('\n');

  it('is told by the mounts of the process', () => assert.deepEqual(mountPoints(mountinfo), ['/', '/__w', '/with blank']));

  const danger = (path: string) => inDanger([{ what: 'x', path }], mountPoints(mountinfo)).length > 0;
  for (const path of ['/__w', '/__w/1/s', '/with blank/x']) it(`is not ${path}, which is mounted`, () => assert.equal(danger(path), false));
  for (const path of ['/', '/usr/bin/node', '/__wide/1', '/with']) it(`is ${path}, which is not`, () => assert.equal(danger(path), true));
});
