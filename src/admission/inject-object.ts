import type { Operation } from 'fast-json-patch';
import { type Annotations, effectiveSettings } from '../federation/effective-settings.ts';
import { type InjectOptions, inject } from '../injection/inject.ts';
import { isTooLarge, malformedPlace, readPodTemplate, templatePath } from '../injection/pod-template.ts';
import type { Finding } from '../reasons/reasons.ts';
import type { Settings } from '../settings/schema.ts';

/** What became of a Kubernetes object. */
export interface ObjectInjection {
  readonly reason: Finding;
  readonly findings: readonly Finding[];
  /** JSON Patch for the whole object; empty where nothing is to do. */
  readonly patch: readonly Operation[];
}

/**
 * Injects the pod template of any object: what the webhook does to a request's object and `inject` to a document.
 *
 * @param kind the object's kind, as its request or document says
 * @param namespaceAnnotations of the object's namespace, where they are known
 * @param options what else is known around the object
 */
export function injectObject(
  object: unknown,
  kind: string,
  settings: Settings,
  namespaceAnnotations: Annotations,
  options: Omit<InjectOptions, 'foundBefore'> = {},
): ObjectInjection {
  const path = templatePath(kind);
  if (path === undefined) return { reason: { code: 'kind_without_pod' }, findings: [], patch: [] };
  const template = readPodTemplate(object, path);
  if (template === undefined) {
    const place = malformedPlace(object, path);
    return {
      reason: { code: 'pod_malformed', detail: place ? `${kind}: ${place}` : kind },
      findings: [],
      patch: [],
    };
  }
  if (isTooLarge(template)) return { reason: { code: 'pod_too_large' }, findings: [], patch: [] };
  const { effective, findings } = effectiveSettings(
    settings,
    namespaceAnnotations,
    template.metadata?.annotations ?? undefined,
  );
  const injection = inject(template, effective, { ...options, foundBefore: findings });
  const prefix = path.map((key) => `/${key}`).join('');
  return {
    reason: injection.reason,
    // Annotations of ours on a pod that is not ours concern nobody.
    findings: injection.reason.code === 'not_falco' ? [] : [...findings, ...injection.findings],
    patch:
      prefix === ''
        ? injection.patch
        : injection.patch.map((operation) => ({ ...operation, path: prefix + operation.path })),
  };
}
