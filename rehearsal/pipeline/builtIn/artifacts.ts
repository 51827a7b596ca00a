import { cp, mkdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { JobArtifact } from '../../agent/job';
import type { StandInCall, StandInTask } from '../../agent/taskManifest';
import { loggingCommand } from './command';
import { matchingFiles } from './matchingFiles';

/** PublishPipelineArtifact@1 and `publish`: the copy lies below the job's records. */
export async function publishArtifact({ input, variable, print }: StandInCall): Promise<void> {
  const path = input('path');
  if (!existsSync(path)) throw new Error(`Path does not exist: ${path}`);
  const name = input('artifactName') || `drop_${variable('System.StageName') ?? ''}_${variable('System.JobName') ?? ''}`;
  print(loggingCommand('artifact.upload', { artifactname: name }, path));
  print(`Published ${path} as the artifact '${name}'.`);
  return Promise.resolve();
}

/** DownloadPipelineArtifact@2 and `download`: from the run itself. */
export function downloadArtifact(published: () => readonly JobArtifact[]): StandInTask {
  return async ({ input, print }) => {
    const wanted = input('artifactName');
    const known = published();
    const found = known.filter(({ name }) => wanted === '' || name.toLowerCase() === wanted.toLowerCase());
    if (wanted !== '' && found.length === 0) {
      throw new Error(`The artifact '${wanted}' was not published by this run. Known: ${known.map(({ name }) => name).join(', ') || 'none'}.`);
    }
    for (const { name, location } of found) {
      const files = await matchingFiles(location, input('itemPattern'));
      for (const file of files) {
        const target = join(input('targetPath'), name, relative(location, file));
        await mkdir(dirname(target), { recursive: true });
        await cp(file, target);
      }
      print(`Downloaded ${String(files.length)} file(s) of the artifact '${name}' to ${join(input('targetPath'), name)}.`);
    }
  };
}
