import {
  type Annotations,
  type EffectiveSettings,
  effectiveSettings,
} from '../federation/effective-settings.ts';
import type { Settings } from '../settings/schema.ts';

const none = {};

/**
 * Effective settings, worked out once for the same settings and annotations: thousands of pods ask for theirs at each
 * scrape. It relies on the same annotations being the same object.
 */
export function rememberedSettings(): (
  settings: Settings,
  namespaceAnnotations: Annotations,
  podAnnotations: Annotations,
) => EffectiveSettings {
  let of: Settings | undefined;
  let known = new WeakMap<object, WeakMap<object, EffectiveSettings>>();
  return (settings, namespaceAnnotations, podAnnotations) => {
    if (settings !== of) known = new WeakMap();
    of = settings;
    const [outer, inner] = [namespaceAnnotations ?? none, podAnnotations ?? none];
    const inNamespace = known.get(outer) ?? new WeakMap<object, EffectiveSettings>();
    known.set(outer, inNamespace);
    const before = inNamespace.get(inner);
    if (before !== undefined) return before;
    const { effective } = effectiveSettings(settings, namespaceAnnotations, podAnnotations);
    inNamespace.set(inner, effective);
    return effective;
  };
}
