import type { V1Container } from '@kubernetes/client-node';
import type { Finding } from '../../reasons/reasons.ts';

/** What a step makes of the container, and what is ours in it then. */
export interface ContainerStep {
  readonly container: V1Container;
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
}
