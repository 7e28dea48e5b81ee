import type { V1Container, V1Volume } from '@kubernetes/client-node';
import type { Finding } from '../reasons/reasons.ts';

/** What is to be ours in a pod: all that a part of injection plans, and bring.ts carries out. */
export interface Additions {
  readonly volumes: readonly V1Volume[];
  /** In the order in which they must run. */
  readonly init: readonly V1Container[];
  readonly side: readonly V1Container[];
  readonly pullSecrets: readonly string[];
  /** Containers of the user's as they are to be, by their index in `spec.containers`. */
  readonly changed: ReadonlyMap<number, V1Container>;
  /** What of this the status annotation names, in its words. */
  readonly added: readonly string[];
  readonly findings: readonly Finding[];
}

/** Nothing but what there is to say. */
export function onlyFindings(findings: readonly Finding[]): Additions {
  return {
    ...{ volumes: [], init: [], side: [], pullSecrets: [], changed: new Map() },
    ...{ added: [], findings },
  };
}

/** Both together; they are about different containers. */
export function together(one: Additions, other: Additions): Additions {
  return {
    volumes: [...one.volumes, ...other.volumes],
    init: [...one.init, ...other.init],
    side: [...one.side, ...other.side],
    pullSecrets: [...one.pullSecrets, ...other.pullSecrets],
    changed: new Map([...one.changed, ...other.changed]),
    added: [...one.added, ...other.added],
    findings: [...one.findings, ...other.findings],
  };
}
