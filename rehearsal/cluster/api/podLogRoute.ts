import { badRequest, invalid, type FieldProblem } from '../apiStatus';
import { formatted, type ContainerLog, type LogOptions } from '../containers/containerLog';
import type { Kubelet } from '../kubelet/kubelet';
import type { Container, Pod } from '../objects';
import type { Registry } from '../registry';
import { resourceType } from '../resources';
import { text, type Answer } from './reply';
import type { ResourceRequest } from './resourceRoutes';

const pods = resourceType('pods');

/** GET …/pods/NAME/log, with the API server's and the kubelet's own refusals. */
export function servePodLog(registry: Registry, kubelet: Kubelet, { namespace, name, query }: ResourceRequest): Answer {
  const pod = registry.get<Pod>(pods, namespace, name);
  const options = logOptions(name, query);
  const container = chosenContainer(pod, query.get('container'));
  if (!pod.spec.nodeName) return { code: 204, contentType: 'text/plain', body: Buffer.alloc(0) };
  const log = chosenLog(pod, kubelet, container, ['1', 'true'].includes(query.get('previous') ?? ''));
  if (!['1', 'true'].includes(query.get('follow') ?? '') || !log) return text(200, log?.read(options) ?? '', 'text/plain');
  return {
    contentType: 'text/plain',
    isWatch: false,
    open(out) {
      const first = log.read(options);
      let left = (options.limitBytes ?? Infinity) - first.length;
      if (first.length > 0) out.write(first);
      const stop = log.follow((entry) => {
        if (!entry) {
          out.end();
          return;
        }
        const line = formatted(entry, options.timestamps).subarray(0, left);
        left -= line.length;
        out.write(line);
        if (left <= 0) out.end();
      });
      if (!stop || left <= 0) out.end();
      return () => stop?.();
    },
  };
}

function logOptions(name: string, query: URLSearchParams): LogOptions {
  const problems: FieldProblem[] = [];
  const number = (field: string, least: number): number | undefined => {
    const value = query.get(field);
    if (value === null) return undefined;
    if (Number(value) < least) {
      const bound = least === 0 ? 'greater than or equal to 0' : `greater than ${least - 1}`;
      problems.push({ reason: 'FieldValueInvalid', field, message: `Invalid value: ${value}: must be ${bound}` });
    }
    return Number(value);
  };
  const tailLines = number('tailLines', 0);
  const limitBytes = number('limitBytes', 1);
  const sinceSeconds = number('sinceSeconds', 1);
  const sinceTime = query.get('sinceTime');
  const since = sinceSeconds !== undefined ? Date.now() - sinceSeconds * 1000 : sinceTime !== null ? Date.parse(sinceTime) : undefined;
  if (problems.length > 0) throw invalid({ group: '', plural: 'pods', kind: 'PodLogOptions' }, name, problems);
  return {
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(since !== undefined && { since }),
    timestamps: ['1', 'true'].includes(query.get('timestamps') ?? ''),
  };
}

/** The container that a request means. @throws 400 in the API server's words */
export function chosenContainer(pod: Pod, asked: string | null): string {
  const names = (containers: readonly Container[] | undefined): string[] => (containers ?? []).map(({ name }) => name);
  const app = names(pod.spec.containers);
  const init = names(pod.spec.initContainers);
  if (asked) {
    if (![...app, ...init].includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`);
    return asked;
  }
  if (app.length === 1 && app[0] !== undefined) return app[0];
  const also = init.length > 0 ? ` or one of the init containers: [${init.join(' ')}]` : '';
  throw badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${app.join(' ')}]${also}`);
}

function chosenLog(pod: Pod, kubelet: Kubelet, container: string, previous: boolean): ContainerLog | undefined {
  const status = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])].find(({ name }) => name === container);
  const runner = kubelet.runnerOf(pod, container);
  const where = `container "${container}" in pod "${pod.metadata.name}"`;
  if (previous) {
    if (!status?.lastState.terminated) throw badRequest(`previous terminated ${where} not found`);
    return status.state.waiting ? runner?.log : runner?.previousLog;
  }
  const waiting = status?.state.waiting;
  if (waiting && !status.lastState.terminated) {
    const words: Record<string, string> = { ErrImagePull: "image can't be pulled", ImagePullBackOff: 'trying and failing to pull image' };
    throw badRequest(`${where} is waiting to start: ${words[waiting.reason] ?? waiting.reason}`);
  }
  return runner?.log;
}
