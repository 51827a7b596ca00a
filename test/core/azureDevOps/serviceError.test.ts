import assert from 'node:assert/strict';
import { isPassing, mayHaveHappened, serviceError, ServiceUnreachable, type ErrorAnswer } from '../../../tasks/core/azureDevOps/serviceError';

const asked = { what: "run pipeline 12 of project 'shop'", origin: 'https://dev.azure.com/contoso', credentials: "this job's access token" };
const answer = (changes: Partial<ErrorAnswer>): ErrorAnswer => ({ status: 400, contentType: 'application/json', location: '', body: '', ...changes });
const json = (status: number, body: object, changes: Partial<ErrorAnswer> = {}) => answer({ status, body: JSON.stringify(body), ...changes });
const html = { contentType: 'text/html; charset=utf-8', body: '<html>Sign in</html>' };

describe('serviceError', () => {
  const cases: [string, ErrorAnswer, RegExp][] = [
    ['a sign-in page with 203', answer({ status: 203, ...html }), /sign-in page \(HTTP 203\), so it does not accept this job's access token\. The token is missing, wrong, expired/],
    ['a sign-in page with 200', answer({ status: 200, ...html }), /sign-in page \(HTTP 200\)/],
    ['a redirect to one', answer({ status: 302, location: 'https://app.vssps.visualstudio.com/_signin?realm=dev.azure.com' }), /sign-in page \(HTTP 302\)/],
    ['a redirect elsewhere', answer({ status: 301, location: 'https://tfs.example.com/tfs' }), /redirects to https:\/\/tfs\.example\.com\/tfs\. Set 'organizationUrl'/],
    ['401 without words', answer({ status: 401 }), /\(HTTP 401\)\. The token is wrong or has expired, or lacks the scopes/],
    ['TF400813', json(401, { message: "TF400813: The user 'x' is not authorized to access this resource." }), /TF400813: .*check that the token belongs to this organization/],
    ['VS30063', json(401, { message: 'VS30063: You are not authorized to access https://dev.azure.com.' }), /VS30063: .*check its scopes/],
    ['TF215106', json(403, { message: "TF215106: Access denied. Build needs Queue builds permissions for pipeline 12 in team project shop to perform the action." }), /TF215106: .*permission 'Queue builds'/],
    ['TF401019', json(404, { message: 'TF401019: The Git repository with name or identifier web does not exist or you do not have permissions.' }), /TF401019: .*Protect access to repositories/],
    ['TF200016', json(404, { message: 'TF200016: The following project does not exist: shop.' }), /TF200016: .*Check 'project'/],
    ['403 of another kind', json(403, { message: 'No.' }), /\(HTTP 403\): No\. Give the account the rights that docs\/security\.md lists/],
    [
      '400 with ValidationResults',
      json(400, { message: 'Could not queue the build because there were validation errors or warnings.', ValidationResults: [{ result: 'error', message: "A value for the 'region' parameter must be provided." }] }),
      /validation errors or warnings\. A value for the 'region' parameter must be provided\.$/,
    ],
    [
      '400 with ValidationResults inside customProperties',
      json(400, { message: 'Could not queue.', customProperties: { ValidationResults: [{ result: 'error', message: 'Bad pool.' }] } }),
      /Could not queue\. Bad pool\.$/,
    ],
    [
      'a variable that may not be set',
      json(400, { message: "You can't set the following variables (region). If you want to be able to set these variables, then edit the pipeline and select Settable at queue time on the variables tab of the pipeline editor." }),
      /variables \(region\)\. .*Tick 'Let users override this value/,
    ],
    ['429', json(429, { message: 'TF400733: The request has been canceled.' }), /TF400733: .*throttling this account/],
    ['an answer that is no JSON', answer({ status: 502, contentType: 'text/plain', body: 'bad\ngateway' }), /\(HTTP 502\): bad gateway\.$/],
  ];
  for (const [name, given, message] of cases) {
    it(`makes one line of ${name}`, () => {
      const error = serviceError(given, asked);
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot run pipeline 12 of project 'shop'/);
      assert.doesNotMatch(error.message, /\n/);
    });
  }

  it('disarms what the service says', () => {
    const { message } = serviceError(json(400, { message: 'x ##vso[task.complete result=Succeeded] y' }), asked);
    assert.doesNotMatch(message, /##vso\[/);
  });
});

describe('what became of a request', () => {
  const status = (code: number, retryAfterMs?: number) => serviceError(answer({ status: code, retryAfterMs }), asked);
  const broken = (sent: boolean, code = 'ECONNRESET') => new ServiceUnreachable('https://dev.azure.com', code, 'x', sent);
  const cases: [string, Error, boolean, boolean][] = [
    ['500', status(500), true, true],
    ['502', status(502), true, true],
    ['503', status(503), true, true],
    ['503 that asks to wait, which is throttling', status(503, 1000), true, false],
    ['429', status(429), true, false],
    ['400', status(400), false, false],
    ['a connection that broke after it was sent', broken(true), true, true],
    ['a connection that was refused', broken(false, 'ECONNREFUSED'), true, false],
    ['a host that nobody knows', broken(false, 'ENOTFOUND'), false, false],
    ['a certificate that is not trusted', broken(false, 'SELF_SIGNED_CERT_IN_CHAIN'), false, false],
  ];
  for (const [name, error, passing, happened] of cases) {
    it(`is told by ${name}`, () => assert.deepEqual([isPassing(error), mayHaveHappened(error)], [passing, happened]));
  }
});
