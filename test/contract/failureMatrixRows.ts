/** The rows of the guard's failure matrix: what may go wrong in a deploy. */
export const MATRIX_ROWS = [
  'Image pull',
  'Crash loop',
  'CreateContainerConfigError',
  'Quota, webhook',
  'Unschedulable',
  'Progress deadline',
  'Cancelled',
  'Agent killed',
  'First deploy',
  'Another run deployed meanwhile',
  'Someone undid by hand meanwhile',
  'API server down for a while',
  'Watch closed, 410',
  '401',
  'Deleted or recreated',
  'Autoscaler scales',
  'Paused',
  'StatefulSet OrderedReady',
  'Two workloads, one fails',
  'No RBAC for logs or events',
  'Task retried',
] as const;

export type MatrixRow = (typeof MATRIX_ROWS)[number];

/** Rows that need faults between client and server: no real cluster can be asked for them. */
export const FAULT_ROWS = ['API server down for a while', 'Watch closed, 410'] as const satisfies readonly MatrixRow[];
