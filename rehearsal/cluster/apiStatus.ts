/** The API server's error answers: a Status object with the reason, code and words that clients know. */

export interface StatusCause {
  reason: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: Record<string, never>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code?: number;
}

/** Thrown anywhere below the router; becomes the answer. */
export class ApiError extends Error {
  readonly status: Status;

  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
    details?: StatusDetails,
  ) {
    super(message);
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason && { reason }),
      ...(details && { details }),
      code,
    };
  }
}

/** What an error speaks about: `configmaps "x"`, with the group for those outside the core group. */
export interface Subject {
  group: string;
  plural: string;
  kind: string;
}

export interface FieldProblem {
  reason: 'FieldValueInvalid' | 'FieldValueRequired' | 'FieldValueNotSupported' | 'FieldValueTooLong' | 'FieldValueForbidden';
  field: string;
  message: string;
}

/** `deployments.apps "x"`: the API server qualifies resources outside the core group. */
function qualified(subject: Subject, word: 'plural' | 'kind'): string {
  return subject.group ? `${subject[word]}.${subject.group}` : subject[word];
}

function details(subject: Subject, word: 'plural' | 'kind', name: string): StatusDetails {
  return { ...(name && { name }), ...(subject.group && { group: subject.group }), kind: subject[word] };
}

export function notFound(subject: Subject, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(subject, 'plural')} "${name}" not found`, details(subject, 'plural', name));
}

export function alreadyExists(subject: Subject, name: string): ApiError {
  return new ApiError(409, 'AlreadyExists', `${qualified(subject, 'plural')} "${name}" already exists`, details(subject, 'plural', name));
}

/** @param word the server says the plural on updates and the kind on deletes */
export function conflict(subject: Subject, name: string, why: string, word: 'plural' | 'kind' = 'plural'): ApiError {
  return new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(subject, word)} "${name}": ${why}`, details(subject, word, name));
}

export const modified = 'the object has been modified; please apply your changes to the latest version and try again';

export function invalid(subject: Subject, name: string, problems: readonly FieldProblem[]): ApiError {
  const list = [...new Set(problems.map(({ field, message }) => `${field}: ${message}`))];
  return new ApiError(422, 'Invalid', `${qualified(subject, 'kind')} "${name}" is invalid: ${list.length === 1 ? list.join() : `[${list.join(', ')}]`}`, {
    ...details(subject, 'kind', name),
    causes: problems.map(({ reason, field, message }) => ({ reason, message, field })),
  });
}

/** What the server says of a JSON patch whose test or path does not hold. */
export function rejectedPatch(): ApiError {
  return new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function forbidden(subject: Subject, name: string, why: string, causes?: StatusCause[]): ApiError {
  const object = name ? `${qualified(subject, 'plural')} "${name}"` : qualified(subject, 'plural');
  return new ApiError(403, 'Forbidden', `${object} is forbidden: ${why}`, { ...details(subject, 'plural', name), ...(causes && { causes }) });
}

export function unknownResource(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function methodNotAllowed(): ApiError {
  return new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
}

export function unsupportedMediaType(): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
}

/** History before this version has been compacted away: list again. */
export function expired(asked: number, oldest: number): ApiError {
  return new ApiError(410, 'Expired', `too old resource version: ${asked} (${oldest})`);
}

export function success(subject: Subject, name: string, uid: string): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { ...details(subject, 'plural', name), uid } };
}
