import boundaries from 'eslint-plugin-boundaries';
import tseslint from 'typescript-eslint';

/** The tasks; each may use core and itself, never another one. */
const tasks = ['KanikoBuild', 'DeployWithRollbackGuard', 'NewmanGate', 'TriggerAndMonitor'];

/** Packages that one folder alone may import, so that replacing one of them touches one place. */
const ownedPackages = [
  { owner: 'core-agent', sources: ['azure-pipelines-task-lib', 'azure-pipelines-task-lib/**'] },
  { owner: 'core-kubernetes', sources: ['@kubernetes/client-node', '@kubernetes/client-node/**'] },
  { owner: 'core-azure-devops', sources: ['azure-devops-node-api', 'azure-devops-node-api/**'] },
  { owner: 'task-NewmanGate', sources: ['newman', 'newman/**', 'postman-*', 'postman-*/**'] },
];

const inputOutput = ['fs', 'fs/promises', 'net', 'tls', 'http', 'http2', 'https', 'dgram', 'child_process', 'worker_threads'];

const core = ['core-agent', 'core-azure', 'core-kubernetes', 'core-azure-devops', 'core-registry', 'core-report', 'core-time'];
const types = (...names) => ({ element: { types: { anyOf: names } } });

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    plugins: { boundaries },
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    settings: {
      'import/resolver': { node: { extensions: ['.ts', '.js', '.json'] } },
      'boundaries/root-path': import.meta.dirname,
      'boundaries/include': ['tasks/**/*', 'rehearsal/**/*', 'scripts/**/*', 'test/**/*'],
      'boundaries/dependency-nodes': ['import', 'dynamic-import', 'require', 'export'],
      'boundaries/elements': [
        { type: 'core-agent', pattern: 'tasks/core/agent' },
        { type: 'core-azure', pattern: 'tasks/core/azure' },
        { type: 'core-kubernetes', pattern: 'tasks/core/kubernetes' },
        { type: 'core-azure-devops', pattern: 'tasks/core/azureDevOps' },
        { type: 'core-registry', pattern: 'tasks/core/registry' },
        { type: 'core-report', pattern: 'tasks/core/report' },
        { type: 'core-time', pattern: 'tasks/core/time' },
        // Whole paths, as tests lie in folders of the same names.
        ...tasks.map((task) => ({ type: `task-${task}`, partialMatch: false, pattern: `tasks/${task}` })),
        { type: 'unit-tests', pattern: ['test/core', 'test/tasks', 'test/contract', 'test/cluster'] },
        { type: 'tests', pattern: 'test/*' },
        { type: 'rehearsal', pattern: 'rehearsal' },
        { type: 'scripts', pattern: 'scripts' },
      ],
    },
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          checkAllOrigins: true,
          policies: [
            { allow: { to: { module: { origin: ['external', 'core'] } } } },
            { from: types(...core), allow: { to: types(...core) } },
            { from: types('core-time'), disallow: { to: types(...core.filter((name) => name !== 'core-time')) } },
            // Azure's credentials become a ClusterSource, which is plain data; Kubernetes knows nothing of clouds.
            { from: types('core-kubernetes'), disallow: { to: types('core-azure') } },
            { from: types('core-azure'), disallow: { to: types('core-kubernetes'), dependency: { kind: 'value' } } },
            ...tasks.map((task) => ({ from: types(`task-${task}`), allow: { to: types(`task-${task}`, ...core) } })),
            { from: types('rehearsal'), allow: { to: types('rehearsal') } },
            { from: types('scripts'), allow: { to: types('scripts', 'rehearsal') } },
            { from: types('tests'), allow: { to: types('tests', 'unit-tests', 'rehearsal', 'scripts') } },
            {
              from: types('unit-tests'),
              allow: { to: types('unit-tests', 'tests', 'rehearsal', 'scripts', ...core, ...tasks.map((task) => `task-${task}`)) },
            },
            ...ownedPackages.map(({ owner, sources }) => ({
              from: { element: { types: { noneOf: [owner, 'unit-tests', 'tests', 'scripts'] } } },
              disallow: { to: { module: { origin: 'external', source: sources } } },
            })),
          ],
        },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  {
    // Verdicts and time are pure: what they say depends on their arguments alone.
    files: ['tasks/core/time/**/*.ts', 'tasks/core/**/*Verdict.ts', 'tasks/DeployWithRollbackGuard/*Decision.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: inputOutput.flatMap((name) => [name, `node:${name}`]),
          patterns: [{ regex: '(agent|Client|connect|transport)(/|$)', message: 'A verdict does no input or output.' }],
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', name: ['it', 'describe'], package: 'mocha' }] }],
    },
  },
);
