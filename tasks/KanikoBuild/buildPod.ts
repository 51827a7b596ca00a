import { UserError } from '../core/agent/userError';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { buildArgKey, mountKey, SECRETS_FOLDER, type BuildSecrets } from './buildSecrets';
import { platformNodes, type Platform } from './platform';
import { overridden, type PodSettings } from './podSettings';

/** What a build's pod is made from. */
export interface BuildPodSettings {
  readonly name: string;
  readonly executorImage: string;
  /** The executor's arguments, as it shall see them. */
  readonly args: readonly string[];
  /** Whether the context comes over standard input. */
  readonly stdin: boolean;
  readonly timeoutMs: number;
  /** By which the task finds its pods again. */
  readonly labels: Readonly<Record<string, string>>;
  /** Given where a Secret of the pod's name with logins and build secrets will be there. */
  readonly secrets: BuildSecrets | undefined;
  readonly platform: Platform | undefined;
  readonly pod: PodSettings;
}

export const CONTAINER = 'kaniko';
export const DIGEST_FILE = '/dev/termination-log';

/** With these alone multi-stage builds, `--chown`, `USER` and setgid bits work (tried with both executors). */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETUID', 'SETGID'];

/**
 * The pod of a build. It reads the context from standard input once, is never restarted, and the cluster ends it after
 * the time limit even where no agent is left to delete it.
 * @throws UserError where `podOverrides` would break the build
 */
export function buildPod(settings: BuildPodSettings) {
  const { name, secrets, platform, pod } = settings;
  const nodeSelector = { ...pod.nodeSelector, ...(platform ? platformNodes(platform) : {}) };
  const mounts = secrets && secrets.mounts.length > 0 ? secrets.mounts : undefined;
  const made = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { ...pod.labels, ...settings.labels },
      ...(Object.keys(pod.annotations).length > 0 ? { annotations: pod.annotations } : {}),
    },
    spec: {
      restartPolicy: 'Never',
      activeDeadlineSeconds: Math.ceil(settings.timeoutMs / 1000),
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(pod.serviceAccount === undefined ? {} : { serviceAccountName: pod.serviceAccount }),
      ...(Object.keys(nodeSelector).length > 0 ? { nodeSelector } : {}),
      ...(pod.tolerations.length > 0 ? { tolerations: pod.tolerations } : {}),
      containers: [
        {
          name: CONTAINER,
          image: settings.executorImage,
          imagePullPolicy: 'IfNotPresent',
          // The kubelet replaces `$(NAME)` and takes `$$` for `$`.
          args: settings.args.map((argument) => argument.replaceAll('$', '$$$$')),
          ...(settings.stdin ? { stdin: true, stdinOnce: true, tty: false } : {}),
          ...(pod.resources ? { resources: pod.resources } : {}),
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: CAPABILITIES } },
          ...(secrets && secrets.buildArgs.length > 0 ? { env: secrets.buildArgs.map((argument) => ({ name: argument.name, valueFrom: { secretKeyRef: { name, key: buildArgKey(argument.name) } } })) } : {}),
          ...(secrets
            ? {
                volumeMounts: [
                  { name: 'docker-config', mountPath: '/kaniko/.docker', readOnly: true },
                  ...(mounts ? [{ name: 'build-secrets', mountPath: SECRETS_FOLDER, readOnly: true }] : []),
                ],
              }
            : {}),
        },
      ],
      ...(secrets
        ? {
            volumes: [
              // A volume holds the container back until the Secret is there; a variable alone would be an error until then.
              { name: 'docker-config', secret: { secretName: name, items: [{ key: 'config.json', path: 'config.json' }] } },
              ...(mounts ? [{ name: 'build-secrets', secret: { secretName: name, items: mounts.map((_mount, index) => ({ key: mountKey(index), path: mountKey(index) })) } }] : []),
            ],
          }
        : {}),
    },
  };
  return overridden(made, pod.overrides, (why) => new UserError(`Input 'podOverrides' is not valid: ${why}`, 'Leave that out, or use the input that sets it.'));
}

/** The Secret with logins and build secrets; the pod owns it, so it goes when the pod goes. */
export function buildSecret(pod: { name: string; uid: string; labels: Readonly<Record<string, string>> }, config: DockerConfig, secrets: BuildSecrets) {
  const data: Record<string, Buffer> = {
    'config.json': Buffer.from(JSON.stringify(config)),
    ...Object.fromEntries(secrets.buildArgs.map(({ name, value }) => [buildArgKey(name), Buffer.from(value)])),
    ...Object.fromEntries(secrets.mounts.map(({ content }, index) => [mountKey(index), content])),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name: pod.name,
      labels: pod.labels,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid, controller: true }],
    },
    data: Object.fromEntries(Object.entries(data).map(([key, content]) => [key, content.toString('base64')])),
  };
}
