import type { JobArtifact } from '../../agent/job';
import type { StandInTask, TaskInput, TaskManifest, TaskSource } from '../../agent/taskManifest';
import { guidOf } from '../../agent/serviceConnection';
import { downloadArtifact, publishArtifact } from './artifacts';
import { dockerLogin } from './dockerLogin';
import { publishTestResults } from './publishTestResults';

/** Those tasks of the service that a rehearsal has a stand-in for, before tasks of one's own. */
export function withStandIns(tasks: TaskSource, artifacts: () => readonly JobArtifact[]): TaskSource {
  const standIns: Readonly<Record<string, { readonly inputs: readonly TaskInput[]; readonly standIn: StandInTask }>> = {
    'publishtestresults@2': {
      inputs: [
        ...inputs('testRunTitle', 'platform', 'configuration'),
        { name: 'testRunner', aliases: ['testResultsFormat'], type: 'pickList', defaultValue: 'JUnit' },
        { name: 'testResultsFiles', type: 'multiLine', defaultValue: '**/TEST-*.xml' },
        { name: 'searchFolder', type: 'string', defaultValue: '$(System.DefaultWorkingDirectory)' },
        { name: 'mergeTestResults', type: 'boolean', defaultValue: 'false' },
        { name: 'failTaskOnFailedTests', type: 'boolean', defaultValue: 'false' },
        { name: 'failTaskOnMissingResultsFile', type: 'boolean', defaultValue: 'false' },
      ],
      standIn: publishTestResults,
    },
    'docker@2': {
      inputs: [{ name: 'containerRegistry', type: 'connectedService:dockerregistry' }, { name: 'command', type: 'pickList', defaultValue: 'buildAndPush' }],
      standIn: dockerLogin,
    },
    'publishpipelineartifact@1': {
      inputs: [{ name: 'path', aliases: ['targetPath'], type: 'filePath' }, { name: 'artifactName', aliases: ['artifact'], type: 'string' }],
      standIn: publishArtifact,
    },
    'downloadpipelineartifact@2': {
      inputs: [
        { name: 'artifactName', aliases: ['artifact'], type: 'string' },
        { name: 'itemPattern', aliases: ['patterns'], type: 'multiLine', defaultValue: '**' },
        { name: 'targetPath', aliases: ['path'], type: 'string', defaultValue: '$(Pipeline.Workspace)' },
      ],
      standIn: downloadArtifact(artifacts),
    },
  };
  return async (reference) => {
    const key = reference.toLowerCase();
    const found = Object.hasOwn(standIns, key) ? standIns[key] : undefined;
    return found ? { directory: '', manifest: manifestOf(reference, found.inputs), standIn: found.standIn } : await tasks(reference);
  };
}

function manifestOf(reference: string, declared: readonly TaskInput[]): TaskManifest {
  const [name = '', major = ''] = reference.split('@');
  return { id: guidOf(reference.toLowerCase()), name, version: { Major: major, Minor: 0, Patch: 0 }, inputs: declared, execution: {} };
}

function inputs(...names: readonly string[]): TaskInput[] {
  return names.map((name) => ({ name, type: 'string' }));
}
