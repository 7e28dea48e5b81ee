/**
 * falcosidekick's own reading of CUSTOMFIELDS, TEMPLATEDFIELDS and CUSTOMTAGS (FACTS 3.2): split at `,`, each
 * part at `:`, exactly two parts or silently dropped, nothing trimmed, the last of a name wins.
 */

const templateOfTutorial = /^\{\{ or \(index \. "([A-Za-z0-9_]+)"\) "([^"]*)" \}\}$/;

/** The fields that a value of CUSTOMFIELDS or TEMPLATEDFIELDS sets. */
export function readFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const [key, value, ...rest] = part.split(':');
    if (key && value !== undefined && rest.length === 0) fields.set(key, value);
  }
  return fields;
}

/** `text` with a part at its end. */
export function withPart(text: string, part: string): string {
  return text === '' ? part : `${text},${part}`;
}

/** The value that a template of the tutorial's form gives to events without the field; `undefined` for other forms. */
export function keptOrGiven(key: string, template: string): string | undefined {
  const [, named, value] = templateOfTutorial.exec(template) ?? [];
  return named === key ? value : undefined;
}

/** The tags that a value of CUSTOMTAGS puts on every event; spaces are removed as falcosidekick does. */
export function readTags(text: string): readonly string[] {
  return text.replaceAll(' ', '').split(',');
}
