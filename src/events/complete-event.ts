/** Adds to an event what it lacks of this cluster's labels and tags; what is there stays to the byte. */
import type { EventFields } from './event.ts';
import { type Member, membersOf } from './json-members.ts';

/** What the events of a cluster are marked with. */
export interface Marks {
  readonly labels: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A field that is the object's own: a label may be named `constructor`. */
function own(fields: EventFields['output_fields'], key: string): unknown {
  return fields !== undefined && fields !== null && Object.hasOwn(fields, key) ? fields[key] : undefined;
}

/** A value that says something: falcosidekick's templates take null and an empty text for nothing too. */
function says(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/**
 * Whether an event is another cluster's: one of the labels has a value that is not ours, as a namespace's or a pod's
 * annotation may have given it. Then nothing of ours is added, lest the event name two clusters at once.
 */
function namesAnother(fields: EventFields['output_fields'], labels: Marks['labels']): boolean {
  return Object.entries(labels).some(([key, value]) => {
    const is = own(fields, key);
    return says(is) && String(is) !== value;
  });
}

/** The last of several members of one name counts, to Go and to JSON.parse. */
function memberNamed(members: readonly Member[], key: string): Member | undefined {
  return members.findLast((member) => member.key === key);
}

function printed(entries: readonly (readonly [string, string])[]): string {
  return entries.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(', ');
}

/** Puts members in, behind the `{` at `open`. */
function insertion(open: number, text: string, isEmpty: boolean): Edit {
  return { start: open + 1, end: open + 1, text: isEmpty ? text : `${text}, ` };
}

function labelEdits(
  text: string,
  fields: EventFields['output_fields'],
  labels: Marks['labels'],
  root: readonly Member[],
  isSet: boolean,
): Edit[] {
  const missing = Object.entries(labels).filter(([key, value]) => {
    const is = own(fields, key);
    return isSet ? is !== value : !says(is);
  });
  if (missing.length === 0) return [];
  const member = memberNamed(root, 'output_fields');
  if (member === undefined) {
    return [insertion(text.indexOf('{'), `"output_fields": {${printed(missing)}}`, root.length === 0)];
  }
  if (text.charAt(member.start) !== '{') return [{ ...member, text: `{${printed(missing)}}` }];
  const members = membersOf(text, member.start);
  const edits: Edit[] = [];
  const added = missing.filter(([key, value]) => {
    const empty = memberNamed(members, key);
    if (empty !== undefined) edits.push({ ...empty, text: JSON.stringify(value) });
    return empty === undefined;
  });
  if (added.length > 0) edits.push(insertion(member.start, printed(added), members.length === 0));
  return edits;
}

/** Empty tags, as an empty CUSTOMTAGS leaves them (FACTS 3.2), go, and those that others are known by. */
function tagEdits(
  text: string,
  tags: EventFields['tags'],
  ours: readonly string[],
  root: readonly Member[],
  isOthers: (tag: string) => boolean,
): Edit[] {
  const had = tags ?? [];
  const kept = had.filter((tag) => tag !== '' && tag !== null && !isOthers(tag));
  const missing = ours.filter((tag) => !kept.includes(tag));
  if (missing.length === 0 && kept.length === had.length) return [];
  const list = JSON.stringify([...kept, ...missing]);
  const member = memberNamed(root, 'tags');
  return member === undefined
    ? [insertion(text.indexOf('{'), `"tags": ${list}`, root.length === 0)]
    : [{ ...member, text: list }];
}

function applied(text: string, edits: readonly Edit[]): string {
  let result = '';
  let from = 0;
  for (const { start, end, text: put } of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(from, start) + put;
    from = end;
  }
  return result + text.slice(from);
}

/**
 * The event's text with the labels and tags that it lacks: Falco's own messages carry none
 * (FACTS 1.5), nor do events of a Falco too old, or of rules that stayed untagged.
 *
 * @param text JSON of the event; its root's `{` is its first bracket
 */
export function completeEvent(text: string, fields: EventFields, { labels, tags }: Marks): string {
  const root = membersOf(text, text.indexOf('{'));
  const isOurs = !namesAnother(fields.output_fields, labels);
  const edits = [
    ...(isOurs ? labelEdits(text, fields.output_fields, labels, root, false) : []),
    ...tagEdits(text, fields.tags, isOurs ? tags : [], root, () => false),
  ];
  return edits.length === 0 ? text : applied(text, edits);
}

/**
 * A member that Go takes for `tags` or `output_fields` by another spelling, or a second one of that name, which it would
 * put together with the first: an event could show us one cluster and falcosidekick another.
 */
function isAmbiguous(root: readonly Member[]): boolean {
  const named = root.filter(({ key }) => /^(?:tags|output_field\u017f|output_fields|tag\u017f)$/i.test(key));
  const exact = new Set(named.map(({ key }) => key));
  return exact.size !== named.length || [...exact].some((key) => key !== 'tags' && key !== 'output_fields');
}

export interface StampedEvent {
  readonly text: string;
  /** Whether it said that it is another cluster's. */
  readonly claimed: boolean;
}

/**
 * The event's text with the labels and tags of the cluster that it came from, whatever it says itself.
 *
 * @param isOthers whether a tag is what another cluster is known by
 * @returns undefined where readers do not agree on what it says
 */
export function stampEvent(
  text: string,
  fields: EventFields,
  { labels, tags }: Marks,
  isOthers: (tag: string) => boolean,
): StampedEvent | undefined {
  const root = membersOf(text, text.indexOf('{'));
  if (isAmbiguous(root)) return undefined;
  const edits = [
    ...labelEdits(text, fields.output_fields, labels, root, true),
    ...tagEdits(text, fields.tags, tags, root, isOthers),
  ];
  return {
    text: edits.length === 0 ? text : applied(text, edits),
    claimed:
      namesAnother(fields.output_fields, labels) ||
      (fields.tags ?? []).some((tag) => tag !== null && isOthers(tag)),
  };
}
