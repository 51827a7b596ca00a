import assert from 'node:assert/strict';
import { parseCommandLine, UsageError } from '../../../rehearsal/story/commandLine';

const parse = (...args: string[]): unknown => parseCommandLine(args, { TOKEN: 's3cret' }, '/here');

describe('the command line', () => {
  it('without arguments asks for the sample', () => assert.deepEqual(parse(), { kind: 'sample' }));
  it('shows help', () => assert.deepEqual(parse('--help'), { kind: 'help' }));

  it('takes a pipeline with its options, paths relative to where the user stands', () => {
    assert.deepEqual(
      parse('p.yml', '--kubeconfig', 'k', '--var', 'a=b=c', '--var', 'empty=', '--secret-var', 'TOKEN', '--connection', 'x=/y', '--parameter', 'build=false', '--repository', 'templates=t', '--host-type', 'release', '--node', 'n', '--tasks', 't', '--sources', '.'),
      {
        kind: 'rehearse', pipeline: '/here/p.yml', kubeconfig: '/here/k',
        variables: [{ name: 'a', value: 'b=c' }, { name: 'empty', value: '' }, { name: 'TOKEN', value: 's3cret', secret: true }],
        parameters: { build: 'false' }, repositories: { templates: '/here/t' },
        connections: [{ name: 'x', file: '/y' }], hostType: 'release', node: '/here/n', tasks: '/here/t', sources: '/here',
      },
    );
  });

  for (const [args, message] of [
    [['--nope'], /Unknown option '--nope'/],
    [['p.yml', 'q.yml'], /One pipeline at a time: 'q.yml'/],
    [['p.yml', '--var', 'a'], /--var a has not the form --var NAME=VALUE/],
    [['p.yml', '--var'], /--var/],
    [['p.yml', '--secret-var', 'A=b'], /takes a name only/],
    [['p.yml', '--secret-var', 'MISSING'], /no environment variable MISSING/],
    [['p.yml', '--host-type', 'deployment'], /build or release, not 'deployment'/],
    [['--kubeconfig', 'k'], /--kubeconfig needs a pipeline/],
  ] as const) {
    it(`is refused as ${args.join(' ')}`, () => {
      assert.throws(() => parse(...args), (error: Error) => error instanceof UsageError && message.test(error.message));
    });
  }
});
