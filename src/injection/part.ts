import type { Finding } from '../reasons/reasons.ts';
import type { PodTemplate } from './pod-template.ts';
import type { ChangeRecords } from './records.ts';

/** What injecting one part (Falco, falcosidekick) of a pod came to. */
export interface Part {
  /** The template with the part in place, sharing with the given one what did not change. */
  readonly template: PodTemplate;
  /** What is ours in it now, for the status annotation; empty where nothing can be ours. */
  readonly added: readonly string[];
  /** What was written beside or over something of the user's, for the status annotation too. */
  readonly records?: ChangeRecords;
  readonly findings: readonly Finding[];
}
