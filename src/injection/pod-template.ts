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
};

/** The path to the pod template in objects of a kind; `undefined` for kinds that have none. */
export function templatePath(kind: string): readonly string[] | undefined {
  return Object.hasOwn(templatePaths, kind) ? templatePaths[kind] : undefined;
}

function isOptional(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || value === null || check(value);
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

function isNamedList(
  value: unknown,
  check: (item: Record<string, unknown>) => boolean = () => true,
): boolean {
  return Array.isArray(value) && value.every((item) => isRecord(item) && isText(item.name) && check(item));
}

function isContainer(container: Record<string, unknown>): boolean {
  return (
    isOptional(container.image, isText) &&
    isOptional(container.command, isTextList) &&
    isOptional(container.args, isTextList) &&
    isOptional(container.env, (env) => isNamedList(env, (entry) => isOptional(entry.value, isText))) &&
    isOptional(container.envFrom, (list) => Array.isArray(list) && list.every(isRecord)) &&
    isOptional(container.volumeMounts, (mounts) =>
      isNamedList(mounts, (mount) => isText(mount.mountPath) && isOptional(mount.subPath, isText)),
    ) &&
    isOptional(container.securityContext, isRecord) &&
    isOptional(container.resources, isRecord)
  );
}

function isTextMap(value: unknown): boolean {
  return isRecord(value) && Object.values(value).every(isText);
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
  let value: unknown = object;
  for (const key of path) {
    if (!isRecord(value)) return undefined;
    value = value[key];
  }
  if (!isRecord(value) || !isRecord(value.spec)) return undefined;
  const { metadata, spec } = value;
  const wellShaped =
    isOptional(metadata, isRecord) &&
    (!isRecord(metadata) ||
      (isOptional(metadata.labels, isTextMap) && isOptional(metadata.annotations, isTextMap))) &&
    isNamedList(spec.containers, isContainer) &&
    isOptional(spec.initContainers, (list) => isNamedList(list, isContainer)) &&
    isOptional(spec.volumes, isNamedList) &&
    isOptional(spec.securityContext, isRecord);
  // Safe: every field that injection touches was checked above.
  return wellShaped ? (value as unknown as PodTemplate) : undefined;
}

/** All containers that take part in the pod's life, in the order they start. */
export function containersOf(spec: V1PodSpec): readonly V1Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
