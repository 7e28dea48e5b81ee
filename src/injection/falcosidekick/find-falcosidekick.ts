import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { Finding } from '../../reasons/reasons.ts';
import { imageName } from '../image.ts';

export interface FalcosidekickContainer {
  /** Index in `spec.containers`. */
  readonly index: number;
  readonly container: V1Container;
}

/**
 * Finds falcosidekick in a pod: by the container's name or by its image's name behind any mirror. Its UI and the
 * UI's redis have other names and images.
 *
 * @returns the container; or the reason why none can be told; or `undefined` where there is none
 */
export function findFalcosidekick(spec: V1PodSpec): FalcosidekickContainer | Finding | undefined {
  const candidates = spec.containers.flatMap((container, index) =>
    container.name === 'falcosidekick' || imageName(container.image) === 'falcosidekick'
      ? [{ index, container }]
      : [],
  );
  if (candidates.length > 1) {
    const names = candidates.map(({ container }) => container.name).join(', ');
    return { code: 'falcosidekick_ambiguous', detail: names };
  }
  return candidates[0];
}
