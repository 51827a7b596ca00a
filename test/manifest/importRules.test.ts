import * as assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { ESLint } from 'eslint';

const root = resolve(__dirname, '..', '..');

/** Only the import rules, which need no type information: that would take most of the time. */
const eslint = new ESLint({
  cwd: root,
  overrideConfigFile: join(root, 'eslint.config.mjs'),
  overrideConfig: { languageOptions: { parserOptions: { project: null } } },
  ruleFilter: ({ ruleId }) => ruleId.startsWith('boundaries/') || ruleId === 'no-restricted-imports',
});

/** The messages of the import rules about a file at this path with this text; the file itself need not exist. */
async function complaints(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: join(root, file) });
  assert.ok(result, `${file} is not linted at all`);
  const faults = result.messages.filter(({ fatal }) => fatal);
  assert.deepEqual(faults, [], `${file} could not be judged`);
  return result.messages.flatMap(({ ruleId, message }) => (ruleId === null ? [] : [`${ruleId}: ${message}`]));
}

const use = (from: string) => `import * as used from '${from}';\nexport const value: unknown = used;\n`;
const load = (from: string) => `export const loading: Promise<unknown> = import('${from}');\n`;

// Files that exist stand for their place: the rules resolve both ends of an import.
const CORE_TIME = 'tasks/core/time/clock.ts';
const CORE_AGENT = 'tasks/core/agent/pipelineAgent.ts';
const CORE_KUBERNETES = 'tasks/core/kubernetes/watch.ts';
const CORE_AZURE = 'tasks/core/azure/azureToken.ts';
const CORE_REPORT = 'tasks/core/report/markdown.ts';
const VERDICT = 'tasks/core/kubernetes/podVerdict.ts';
const GUARD = 'tasks/DeployWithRollbackGuard/main.ts';
const GATE = 'tasks/NewmanGate/main.ts';
const REHEARSAL = 'rehearsal/main.ts';
const SCRIPT = 'scripts/build.ts';
const UNIT_TEST = 'test/core/report/markdown.test.ts';
const BUNDLE_TEST = 'test/bundle/build.test.ts';

describe('the import rules', () => {
  const forbidden: [name: string, file: string, text: string][] = [
    ['core using a task', CORE_KUBERNETES, use('../../NewmanGate/main')],
    ['core using a task dynamically', CORE_KUBERNETES, load('../../NewmanGate/main')],
    ['core exporting from a task', CORE_KUBERNETES, "export * from '../../NewmanGate/inputs';\n"],
    ['core using the rehearsal', CORE_KUBERNETES, use('../../../rehearsal/main')],
    ['a task using another task', GUARD, use('../NewmanGate/main')],
    ['a task requiring another task', GATE, "export const used: unknown = require('../DeployWithRollbackGuard/main');\n"],
    ['a task using the rehearsal', GUARD, use('../../rehearsal/main')],
    ['a task using the scripts', GUARD, use('../../scripts/build')],
    ['the rehearsal using a task', REHEARSAL, use('../tasks/NewmanGate/main')],
    ['the rehearsal using core', REHEARSAL, use('../tasks/core/time/clock')],
    ['the scripts using a task', SCRIPT, use('../tasks/NewmanGate/main')],
    ['the scripts using core', SCRIPT, use('../tasks/core/time/clock')],
    ['a bundle test using a task', BUNDLE_TEST, use('../../tasks/NewmanGate/main')],
    ['core/time using core/agent', CORE_TIME, use('../agent/userError')],
    ['core/time using core/kubernetes', CORE_TIME, use('../kubernetes/objects')],
    ['core/kubernetes using core/azure', CORE_KUBERNETES, use('../azure/azureToken')],
    ['core/kubernetes using types of core/azure', CORE_KUBERNETES, "import type { AzureTokens } from '../azure/azureToken';\nexport type Used = AzureTokens;\n"],
    ['core/azure using core/kubernetes', CORE_AZURE, use('../kubernetes/connect')],
    ['task-lib outside core/agent', CORE_KUBERNETES, use('azure-pipelines-task-lib/task')],
    ['task-lib in a task', GUARD, use('azure-pipelines-task-lib/task')],
    ['task-lib as types only in a task', GUARD, "import type { getInput } from 'azure-pipelines-task-lib/task';\nexport type Used = typeof getInput;\n"],
    ['the Kubernetes client outside core/kubernetes', CORE_AGENT, use('@kubernetes/client-node')],
    ['a part of the Kubernetes client in a task', GUARD, use('@kubernetes/client-node/dist/config.js')],
    ['the Kubernetes client in the rehearsal', REHEARSAL, use('@kubernetes/client-node')],
    ['newman in another task', GUARD, use('newman')],
    ['newman in another task, dynamically', GUARD, load('newman')],
    ['newman in core, dynamically', CORE_REPORT, load('newman')],
    ['a part of newman in core', CORE_REPORT, load('newman/lib/run')],
    ['files read in a verdict', VERDICT, use('node:fs')],
    ['files read in a verdict, without the prefix', VERDICT, use('fs')],
    ['promised files read in a verdict', VERDICT, use('node:fs/promises')],
    ['the network used in a verdict', VERDICT, use('node:https')],
    ['the client used in a verdict', VERDICT, use('./client')],
    ['the agent used in a verdict', VERDICT, use('../agent/agent')],
    ['processes started in core/time', CORE_TIME, use('node:child_process')],
  ];
  for (const [name, file, text] of forbidden) {
    it(`refuse ${name}`, async () => {
      assert.notDeepEqual(await complaints(file, text), []);
    });
  }

  const allowed: [name: string, file: string, text: string][] = [
    ['a task using core', GUARD, use('../core/agent/runTask')],
    ['a task using its own modules', GATE, use('./inputs')],
    ['core using core', CORE_KUBERNETES, use('../agent/userError')],
    ['core using core/time', CORE_KUBERNETES, use('../time/clock')],
    ['core/azure using types of core/kubernetes', CORE_AZURE, "import type { ClusterSource } from '../kubernetes/clusterSource';\nexport type Used = ClusterSource;\n"],
    ['core/azure using core/azureDevOps', CORE_AZURE, use('../azureDevOps/transport')],
    ['a verdict using plain types', VERDICT, use('./objects')],
    ['a verdict using node:util', VERDICT, use('node:util')],
    ['task-lib in core/agent', CORE_AGENT, use('azure-pipelines-task-lib/task')],
    ['the Kubernetes client in core/kubernetes', CORE_KUBERNETES, use('@kubernetes/client-node/dist/config.js')],
    ['newman in its task, dynamically', GATE, load('newman')],
    ['the rehearsal using a package', REHEARSAL, use('yaml')],
    ['the scripts using the rehearsal', SCRIPT, use('../rehearsal/main')],
    ['a unit test using core', UNIT_TEST, use('../../../tasks/core/report/markdown')],
    ['files read outside verdicts', CORE_KUBERNETES, use('node:fs')],
  ];
  for (const [name, file, text] of allowed) {
    it(`allow ${name}`, async () => {
      assert.deepEqual(await complaints(file, text), []);
    });
  }
});
