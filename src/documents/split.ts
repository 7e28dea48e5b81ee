/**
 * Splits a stream of YAML documents into pieces that joined again are the very same text.
 *
 * A line that begins with `---` begins a document wherever it stands (YAML 1.2, 9.1.2); what comes before the
 * first one is a document of its own. Comments before a `---` belong to the document that ends there.
 */
export function splitDocuments(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  for (const match of text.matchAll(/^---(?=[ \t\r\n]|$)/gm)) {
    if (match.index > start) pieces.push(text.slice(start, match.index));
    start = match.index;
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}
