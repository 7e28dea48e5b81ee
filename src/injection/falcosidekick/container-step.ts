import type { Finding } from '../../reasons/reasons.ts';
import type { Environment } from './environment.ts';

/** What a step makes of the container, and what is ours in it then. */
export interface ContainerStep {
  readonly environment: Environment;
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
}
