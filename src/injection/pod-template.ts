import type { V1Container, V1ObjectMeta, V1PodSpec } from '@kubernetes/client-node';
import { isRecord } from './record.ts';

/** What a Pod and the template of a DaemonSet, Deployment, … have in common: all that injection looks at. */
export interface PodTemplate {
  readonly metadata?: V1ObjectMeta;
  readonly spec: V1PodSpec;
}

/**
 * Where a template is met: in a `pod` that the API server is about to create, with what its service account gives it; in
 * a `workload` at the API server, whose pods are met later; or in a `file`, which may be all that is ever seen.
 */
export type SeenAs = 'pod' | 'workload' | 'file';

/** Kinds with a pod template, and where it is in them. */
const templatePaths: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  DaemonSet: ['spec', 'template'],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  // Not at the webhook, whose configuration names the kinds above; in files.
  ReplicationController: ['spec', 'template'],
  PodTemplate: ['template'],
  Rollout: ['spec', 'template'],
};

/** The path to the pod template in objects of a kind; `undefined` for kinds that have none. */
export function templatePath(kind: string): readonly string[] | undefined {
  return Object.hasOwn(templatePaths, kind) ? templatePaths[kind] : undefined;
}

/** Where a value is not as Kubernetes defines it: the rest of its path, `.env[0].name`; `undefined` if it is. */
type Shape = (value: unknown) => string | undefined;

const absentOr =
  (check: Shape): Shape =>
  (value) =>
    value === undefined || value === null ? undefined : check(value);

const isText: Shape = (value) => (typeof value === 'string' ? undefined : '');
const optionalText = absentOr(isText);

const listOf =
  (check: Shape): Shape =>
  (value) => {
    if (!Array.isArray(value)) return '';
    for (let at = 0; at < value.length; at++) {
      const wrong = check(value[at]);
      if (wrong !== undefined) return `[${at}]${wrong}`;
    }
    return undefined;
  };

/** A mapping that has these fields; others are whatever they are. */
function mappingWith(fields: Readonly<Record<string, Shape>>): Shape {
  const checks = Object.entries(fields);
  return (value) => {
    if (!isRecord(value)) return '';
    for (const [key, check] of checks) {
      const wrong = check(value[key]);
      if (wrong !== undefined) return `.${key}${wrong}`;
    }
    return undefined;
  };
}

const mapping = mappingWith({});

const textMap: Shape = (value) => {
  if (!isRecord(value)) return '';
  const key = Object.keys(value).find((one) => typeof value[one] !== 'string');
  return key === undefined ? undefined : `[${JSON.stringify(key)}]`;
};

const named = listOf(mappingWith({ name: isText }));

const containers = listOf(
  mappingWith({
    name: isText,
    image: optionalText,
    command: absentOr(listOf(isText)),
    args: absentOr(listOf(isText)),
    env: absentOr(listOf(mappingWith({ name: isText, value: optionalText }))),
    envFrom: absentOr(listOf(mapping)),
    volumeMounts: absentOr(listOf(mappingWith({ name: isText, mountPath: isText, subPath: optionalText }))),
    securityContext: absentOr(mapping),
    resources: absentOr(mapping),
  }),
);

const template = mappingWith({
  metadata: absentOr(mappingWith({ labels: absentOr(textMap), annotations: absentOr(textMap) })),
  spec: mappingWith({
    containers,
    initContainers: absentOr(containers),
    volumes: absentOr(named),
    imagePullSecrets: absentOr(listOf(mapping)),
    securityContext: absentOr(mapping),
  }),
});

function at(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), object);
}

/**
 * Reads the pod template at a path of an object from outside.
 *
 * Checks the shape of each field that injection reads or extends, so that a malformed object is a reason and
 * not an exception; other fields are whatever they are. Kubernetes writes absent lists as `null` at times: that
 * counts as absent.
 *
 * @returns the template (the very object, not a copy), or `undefined` if it is not shaped as Kubernetes says
 */
export function readPodTemplate(object: unknown, path: readonly string[]): PodTemplate | undefined {
  const value = at(object, path);
  // Safe: every field that injection touches is checked.
  return template(value) === undefined ? (value as PodTemplate) : undefined;
}

/** The place of what keeps an object's pod template from being read: `spec.template.spec.containers[0].name`. */
export function malformedPlace(object: unknown, path: readonly string[]): string | undefined {
  const rest = template(at(object, path));
  return rest === undefined ? undefined : `${path.join('.')}${rest}`.replace(/^\./, '');
}

/** More than any pod has, and few enough to be answered within a second: the API server takes objects of megabytes. */
const mostParts = 10_000;

/** Whether a template is more than we read: elements of its lists, and texts of its containers by 64 characters. */
export function isTooLarge({ spec }: PodTemplate): boolean {
  const sizeOf = (texts: readonly (string | null | undefined)[]): number =>
    texts.reduce((sum, text) => sum + 1 + ((text?.length ?? 0) >> 6), 0);
  let parts = spec.volumes?.length ?? 0;
  for (const { command, args, env, envFrom, volumeMounts } of containersOf(spec)) {
    parts += 1 + sizeOf(command ?? []) + sizeOf(args ?? []) + sizeOf((env ?? []).map(({ value }) => value));
    parts += (envFrom?.length ?? 0) + (volumeMounts?.length ?? 0);
  }
  return parts > mostParts;
}

/** All containers that take part in the pod's life, in the order they start. */
export function containersOf(spec: V1PodSpec): readonly V1Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
