import type { StandInCall } from '../../agent/taskManifest';
import { loggingCommand } from './command';
import { matchingFiles } from './matchingFiles';

/** PublishTestResults@2: finds the files and hands them to the agent. */
export async function publishTestResults({ input, print }: StandInCall): Promise<void> {
  const patterns = input('testResultsFiles');
  const files = await matchingFiles(input('searchFolder'), patterns);
  if (files.length === 0) {
    const message = `No test result files matching '${patterns.replaceAll('\n', ', ')}' were found.`;
    if (input('failTaskOnMissingResultsFile').toLowerCase() === 'true') throw new Error(message);
    print(loggingCommand('task.logissue', { type: 'warning' }, message));
    return;
  }
  print(
    loggingCommand(
      'results.publish',
      {
        type: input('testRunner'),
        mergeResults: input('mergeTestResults'),
        runTitle: input('testRunTitle'),
        platform: input('platform'),
        config: input('configuration'),
        failTaskOnFailedTests: input('failTaskOnFailedTests'),
        resultFiles: files.join(','),
      },
      '',
    ),
  );
  print(`Published ${String(files.length)} file(s) with test results.`);
}
