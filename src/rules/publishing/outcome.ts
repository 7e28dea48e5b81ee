/**
 * What a run came to. Of the rules that Falco loads, those of copies are known, to carry the tags or not; others may
 * be in a file that could not be read as rules, in an entry that was kept because something failed, or in a file that
 * an option adds:
 *
 *     carry the tags | stay untagged, or may | published | outcome
 *     some           | none                  | yes       | rules_tagged
 *     some           | some                  | yes       | rules_tagged_in_part
 *     none           | some                  | either    | rules_none_tagged
 *     none           | none                  | yes       | rules_none_defined: lists, macros, appends, empty files
 *     none           | none                  | no        | rules_none_visible
 *
 * Entries that are missing, empty or none that Falco loads are no failure: nothing is loaded from there, as far as can
 * be seen. Where Falco runs and does not look for changes, it has not read what was published, so nothing is `done`.
 */
import { type Finding, reasons } from '../../reasons/reasons.ts';

/** What the outcome depends on. */
export interface Reached {
  /** Rules that Falco loads: those that got a tag, that had all, and that have not. */
  readonly tagged: number;
  readonly alreadyTagged: number;
  readonly untagged: number;
  /** Of entries that stay as they were, and of files. */
  readonly kept: readonly Finding[];
  readonly findings: readonly Finding[];
  /** Falco is to read copies of ours. */
  readonly published: boolean;
  /** Falco runs already, and does not look for changes. */
  readonly unwatched: boolean;
}

export function outcomeOf(reached: Reached): Finding['code'] {
  const { tagged, alreadyTagged, published } = reached;
  const untagged = mayStayUntagged(reached);
  if (tagged + alreadyTagged === 0) {
    if (untagged) return 'rules_none_tagged';
    return published ? 'rules_none_defined' : 'rules_none_visible';
  }
  if (untagged) return 'rules_tagged_in_part';
  return reached.unwatched ? 'rules_watch_off' : 'rules_tagged';
}

/** Every finding of a file or an entry that asks for attention means that rules of it have no tag. */
function mayStayUntagged({ untagged, kept, findings }: Reached): boolean {
  return untagged > 0 || [...kept, ...findings].some(({ code }) => reasons[code].severity === 'warning');
}
