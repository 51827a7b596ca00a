import type { KubernetesObject } from './objects';

const PATHS: Readonly<Record<string, readonly string[]>> = {
  Pod: ['spec'],
  PodTemplate: ['template', 'spec'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
};

/** Where an object of this kind has its pod's spec, if it has one. */
export function podSpecPath(object: KubernetesObject): readonly string[] {
  return PATHS[object.kind ?? ''] ?? ['spec', 'template', 'spec'];
}
