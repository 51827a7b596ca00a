import assert from 'node:assert/strict';
import { podRefusal } from '../../../tasks/KanikoBuild/podRefusal';
import { ApiError } from '../../../tasks/core/kubernetes/apiError';

describe('podRefusal', () => {
  const of = (status: number, message: string) => podRefusal(new ApiError(status, 'Forbidden', message, 'create pods in namespace builds'))?.message;
  const cases: [string, number, string, RegExp][] = [
    ['a quota', 403, 'pods "x" is forbidden: exceeded quota: builds, requested: pods=1, used: pods=2, limited: pods=2', /exceeded quota: builds.*Raise the namespace's ResourceQuota/],
    ['a quota that wants limits', 403, 'pods "x" is forbidden: failed quota: builds: must specify limits.memory', /must specify limits\.memory\. .*set 'resources'/],
    ['a limit range', 403, 'pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi', /Set 'resources' to what the namespace's LimitRange allows/],
    ['Pod Security', 403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities', /level baseline/],
    ['a service account that is not there', 403, 'pods "x" is forbidden: error looking up service account builds/builder: serviceaccount "builder" not found', /Check 'serviceAccount'/],
    ['a policy', 400, 'admission webhook "policy.example" denied the request: label team is missing', /label team is missing.*'podLabels'/],
    ['an unknown field', 400, 'strict decoding error: unknown field "spec.tolerationz"', /Correct 'podOverrides'/],
    ['a wrong value', 422, 'Pod "x" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit', /^The cluster finds the build's pod wrong: .*Correct the inputs of the group Pod/],
  ];
  for (const [what, status, message, told] of cases) it(`tells of ${what}`, () => assert.match(of(status, message) ?? '', told));

  it('leaves rights to the error itself', () => assert.equal(of(403, 'pods is forbidden: User "x" cannot create resource "pods"'), undefined));
  it('leaves other errors alone', () => assert.equal(podRefusal(new Error('x')), undefined));
});
