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
  /** How the context comes. */
  readonly transfer: ContextTransfer;
  readonly timeoutMs: number;
  /** By which the task finds its pods again. */
  readonly labels: Readonly<Record<string, string>>;
  /** Given where a Secret of the pod's name with logins and build secrets will be there. */
  readonly secrets: BuildSecrets | undefined;
  readonly platform: Platform | undefined;
  readonly pod: PodSettings;
}

export type ContextTransfer =
  /** The executor fetches it. */
  | { readonly kind: 'none' }
  /** Over the executor's standard input. */
  | { readonly kind: 'stdin' }
  /** By a command in an init container, into a volume: for clusters that refuse an attach. */
  | { readonly kind: 'exec'; readonly image: string };

export const CONTAINER = 'kaniko';
export const CONTEXT_CONTAINER = 'context';
/** Where a context that came by a command lies. */
export const CONTEXT_FOLDER = '/release-guard-context';
export const CONTEXT_FILE = `${CONTEXT_FOLDER}/context.tar.gz`;
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
  const byExec = settings.transfer.kind === 'exec' ? settings.transfer : undefined;
  const contextMount = { name: 'context', mountPath: CONTEXT_FOLDER };
  const volumeMounts = [
    ...(secrets ? [{ name: 'docker-config', mountPath: '/kaniko/.docker', readOnly: true }] : []),
    ...(secrets && secrets.mounts.length > 0 ? [{ name: 'build-secrets', mountPath: SECRETS_FOLDER, readOnly: true }] : []),
    ...(byExec ? [{ ...contextMount, readOnly: true }] : []),
  ];
  const secretVolume = (items: readonly string[]) => ({ secret: { secretName: name, items: items.map((key) => ({ key, path: key })) } });
  const volumes = [
    // A volume holds the container back until the Secret is there; a variable alone would be an error until then.
    ...(secrets ? [{ name: 'docker-config', ...secretVolume(['config.json']) }] : []),
    ...(secrets && secrets.mounts.length > 0 ? [{ name: 'build-secrets', ...secretVolume(secrets.mounts.map((_mount, index) => mountKey(index))) }] : []),
    ...(byExec ? [{ name: 'context', emptyDir: {} }] : []),
  ];
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
      ...(byExec
        ? {
            initContainers: [
              {
                name: CONTEXT_CONTAINER,
                image: byExec.image,
                imagePullPolicy: 'IfNotPresent',
                command: ['sh', '-c', 'until [ -e "$0/complete" ]; do sleep 1; done', CONTEXT_FOLDER],
                volumeMounts: [contextMount],
                ...(pod.resources ? { resources: pod.resources } : {}),
                securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
              },
            ],
          }
        : {}),
      containers: [
        {
          name: CONTAINER,
          image: settings.executorImage,
          imagePullPolicy: 'IfNotPresent',
          // The kubelet replaces `$(NAME)` and takes `$$` for `$`.
          args: settings.args.map((argument) => argument.replaceAll('$', '$$$$')),
          ...(settings.transfer.kind === 'stdin' ? { stdin: true, stdinOnce: true, tty: false } : {}),
          ...(pod.resources ? { resources: pod.resources } : {}),
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: CAPABILITIES } },
          ...(secrets && secrets.buildArgs.length > 0 ? { env: secrets.buildArgs.map((argument) => ({ name: argument.name, valueFrom: { secretKeyRef: { name, key: buildArgKey(argument.name) } } })) } : {}),
          ...(volumeMounts.length > 0 ? { volumeMounts } : {}),
        },
      ],
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  };
  return overridden(made, pod.overrides, (why) => new UserError(`Input 'podOverrides' is not valid: ${why}`, 'Leave that out, or use the input that sets it.'));
}

/** What takes the context in the init container, and lets go of it only when every byte has come. */
export function receiveCommand({ bytes, sha256 }: { bytes: number; sha256: string }): string[] {
  const script = 'head -c "$1" > "$0/context.tar.gz" && echo "$2  $0/context.tar.gz" | sha256sum -c - > /dev/null && : > "$0/complete"';
  return ['sh', '-c', script, CONTEXT_FOLDER, String(bytes), sha256];
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
