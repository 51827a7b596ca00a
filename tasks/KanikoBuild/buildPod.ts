import type { DockerConfig } from '../core/registry/dockerConfig';

/** What a build's pod is made from. */
export interface BuildPodSettings {
  readonly name: string;
  readonly executorImage: string;
  readonly dockerfile: string;
  readonly destination: string;
  readonly buildArgs: readonly string[];
  readonly timeoutMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether a Secret of the pod's name with Docker's config.json will be there. */
  readonly hasCredentials: boolean;
}

export const CONTAINER = 'kaniko';

/** With these alone multi-stage builds, `--chown`, `USER` and setgid bits work (tried with both executors). */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETUID', 'SETGID'];

/**
 * The pod of a build. It reads the context from standard input once, is never restarted, and the cluster ends it after
 * the time limit even where no agent is left to delete it.
 */
export function buildPod(settings: BuildPodSettings) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: settings.name, labels: settings.labels },
    spec: {
      restartPolicy: 'Never',
      activeDeadlineSeconds: Math.ceil(settings.timeoutMs / 1000),
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      containers: [
        {
          name: CONTAINER,
          image: settings.executorImage,
          imagePullPolicy: 'IfNotPresent',
          args: executorArguments(settings),
          stdin: true,
          stdinOnce: true,
          tty: false,
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: CAPABILITIES } },
          ...(settings.hasCredentials ? { volumeMounts: [{ name: 'docker-config', mountPath: '/kaniko/.docker', readOnly: true }] } : {}),
        },
      ],
      ...(settings.hasCredentials ? { volumes: [{ name: 'docker-config', secret: { secretName: settings.name } }] } : {}),
    },
  };
}

function executorArguments(settings: BuildPodSettings): string[] {
  const args = [
    '--context=tar://stdin',
    `--dockerfile=${settings.dockerfile}`,
    `--destination=${settings.destination}`,
    // What is written there becomes the container's termination message.
    '--digest-file=/dev/termination-log',
    ...settings.buildArgs.map((argument) => `--build-arg=${argument}`),
  ];
  // The kubelet replaces `$(NAME)` and takes `$$` for `$`.
  return args.map((argument) => argument.replaceAll('$', '$$$$'));
}

/** The Secret with the registry credentials; the pod owns it, so it goes when the pod goes. */
export function credentialsSecret(pod: { name: string; uid: string; labels: Readonly<Record<string, string>> }, config: DockerConfig) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name: pod.name,
      labels: pod.labels,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid, controller: true }],
    },
    data: { 'config.json': Buffer.from(JSON.stringify(config)).toString('base64') },
  };
}
