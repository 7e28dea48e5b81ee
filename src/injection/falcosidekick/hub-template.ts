/** A label that tells the hub's own events from others: an event that has it with none of these values is not the hub's. */
export interface TellingLabel {
  readonly key: string;
  readonly values: readonly string[];
}

/** `print` makes text of a number too, which `ne` would not compare with one; an absent or empty field tells nothing. */
function contradicts({ key, values }: TellingLabel): string {
  const others = values.map((value) => `(ne (print (index . "${key}")) "${value}")`);
  return `(and (index . "${key}") ${others.join(' ')})`;
}

/**
 * The template of one of a hub's labels: what an event says stays, and the hub's own events get the hub's value.
 *
 * The hub's own are those that contradict none of the hub's labels. falcosidekick evaluates templates in a random order,
 * each on the result of those before it (FACTS 3.3): since a template gives a hub's value only where all labels agree,
 * and nothing where one does not, each event comes out the same in any order. An event of another cluster gets the field
 * empty, as a templated field is on every event. No `:` or `,` may stand in it: it would be lost (FACTS 3.2).
 *
 * @param others the hub's other labels, by which its events are told
 */
export function hubTemplate(key: string, value: string, others: readonly TellingLabel[]): string {
  if (others.length === 0) return `{{ or (index . "${key}") "${value}" }}`;
  const field = `index . "${key}"`;
  const [only, ...more] = others.map(contradicts);
  const foreign = more.length === 0 ? only : `(or ${[only, ...more].join(' ')})`;
  return `{{ if ${field} }}{{ ${field} }}{{ else if not ${foreign} }}${value}{{ end }}`;
}
