import { UserError } from '../core/agent/userError';
import { ApiError } from '../core/kubernetes/apiError';

/** Reasons for which a cluster refuses a pod though the account may create pods. */
const REFUSALS: readonly [RegExp, string][] = [
  [/exceeded quota/i, "Raise the namespace's ResourceQuota, wait for other builds, or lower 'maxParallel' or 'resources'."],
  [/failed quota: .*must specify/i, "The namespace's ResourceQuota wants requests and limits: set 'resources'."],
  [/(?:maximum|minimum) (?:cpu|memory|ephemeral-storage) usage|LimitRange/i, "Set 'resources' to what the namespace's LimitRange allows."],
  [/violates PodSecurity/i, 'Build in a namespace of the Pod Security level baseline: Kaniko needs root.'],
  [/serviceaccount "?[^"\s]+"? not found|error looking up service account/i, "Check 'serviceAccount'."],
  [/admission webhook|denied the request|ValidatingAdmissionPolicy/i, "Set what the cluster's policy asks for by 'podLabels', 'podAnnotations' or 'podOverrides'."],
  [/strict decoding error|unknown field/i, "Correct 'podOverrides'."],
];

/** What an answer to the creation of a build's pod means, where it is not about the account's rights; else undefined. */
export function podRefusal(error: unknown): UserError | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const remedy = REFUSALS.find(([pattern]) => pattern.test(error.serverMessage))?.[1];
  if (remedy !== undefined) return new UserError(`The cluster refuses the build's pod: ${error.serverMessage}`, remedy, { cause: error });
  if (error.status !== 422) return undefined;
  return new UserError(`The cluster finds the build's pod wrong: ${error.serverMessage}`, "Correct the inputs of the group Pod, 'podOverrides' among them.", { cause: error });
}
