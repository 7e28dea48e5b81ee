import type { V1EnvVar, V1PodSpec } from '@kubernetes/client-node';
import type { Operation } from 'fast-json-patch';
import { readVariable } from './environment.ts';

/**
 * Takes an empty CUSTOMTAGS out of a container's environment: falcosidekick would put an empty tag on every
 * event, and no other value stands for "no tags" (FACTS 3.2).
 *
 * It is the one thing that injection takes away, so its operations are written by hand, last entry first: a
 * comparison by index would rewrite every variable behind it (FACTS 5).
 *
 * @returns the spec without it (the very same if there is none), and the operations, paths relative to the pod template
 */
export function removeEmptyCustomTags(
  spec: V1PodSpec,
  index: number,
): { readonly spec: V1PodSpec; readonly operations: readonly Operation[] } {
  const container = spec.containers[index];
  const variable = container && readVariable(container, 'CUSTOMTAGS');
  if (variable?.kind !== 'text' || variable.text.replaceAll(' ', '') !== '') return { spec, operations: [] };
  const isTags = ({ name }: V1EnvVar): boolean => name === 'CUSTOMTAGS';
  const env = container?.env ?? [];
  const operations = env
    .flatMap((entry, at): Operation[] =>
      isTags(entry) ? [{ op: 'remove', path: `/spec/containers/${index}/env/${at}` }] : [],
    )
    .reverse();
  const containers = spec.containers.map((one, at) =>
    at === index ? { ...one, env: env.filter((entry) => !isTags(entry)) } : one,
  );
  return { spec: { ...spec, containers }, operations };
}
