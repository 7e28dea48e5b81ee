/**
 * Tagging a rules file a few items at a time.
 *
 * A tree takes some hundred times the memory of its text, and a container that runs out of memory is started again
 * and again, with Falco waiting. Items of the list that a rules file is do not depend on each other, so a long file
 * is parsed in parts, and memory depends on the largest part alone.
 */
import { type FileProblem, type TaggedFile, tagRulesFile } from './tag-rules-file.ts';

/**
 * Characters that a part has at least, but for the last one. Short, as a part without an edit is not parsed again for
 * the proof, and is garbage early: a fifth less time for upstream's rules, and 10 MB less memory, than with 48 KB.
 */
const partLength = 1024;

/**
 * What is parsed at once at the most, in characters and in pieces (what a comma, a colon, a bracket or a line ends).
 * Measured: 60,000 pieces, 120 KB of text, peak at 220 MB with the heap of a small container. The largest rules file
 * that upstream ships has 95 KB and 3,700 pieces.
 */
export const largestParsed = { length: 512 * 1024, pieces: 30_000 };

function isTooLargeToParse(text: string): boolean {
  if (text.length > largestParsed.length) return true;
  let pieces = 0;
  for (const _ of text.matchAll(/[,:[{\n]/g)) pieces++;
  return pieces > largestParsed.pieces;
}

/** An anchor or an alias, or what may be one: parts could then depend on each other. */
const maybeAnchored = /(?:^|[\s,[{])[&*][^\s,[\]{}]/m;

const commentLines = /^[ \t]*#.*$/gm;

/** What may stand before the list of a file's only document. */
const opening = /^(?:[ \t]*(?:#.*)?\r?\n)*---[ \t]*(?:#.*)?\r?\n/;

function isOneDocument(text: string): boolean {
  return !/^(?:---|\.\.\.|%)/m.test(text.slice(opening.exec(text)?.[0].length ?? 0));
}

/**
 * Cuts a file before items of its list, which begin with `- ` at the first column.
 *
 * @returns one part where the file is short, or of a form whose items could depend on each other: several
 *   documents, directives, anchors
 */
function partsOf(text: string): string[] {
  if (text.length <= partLength || !isOneDocument(text)) return [text];
  if (maybeAnchored.test(text.replace(commentLines, ''))) return [text];
  const parts: string[] = [];
  let start = 0;
  for (const { index } of text.matchAll(/^- /gm)) {
    if (index - start < partLength) continue;
    parts.push(text.slice(start, index));
    start = index;
  }
  return [...parts, text.slice(start)];
}

/** Problems for which the whole file must stay as it is. */
const forAll: ReadonlySet<string> = new Set([
  'rules_file_not_parsed',
  'rules_file_refused',
  'rules_file_edit_unproven',
  'rules_file_too_large_to_tag',
]);

function tagOne(text: string, tags: readonly string[]): TaggedFile {
  if (!isTooLargeToParse(text)) return tagRulesFile(text, tags);
  const problem: FileProblem = { code: 'rules_file_too_large_to_tag', line: 1, detail: 'in one piece' };
  return {
    ...{ text, rules: 0, tagged: 0, alreadyTagged: 0, untagged: 0 },
    ...{ problems: [problem], loadsTwice: false },
  };
}

/** Tags a rules file's text like `tagRulesFile`, in parts where it is long. Never throws. */
export function tagInParts(text: string, tags: readonly string[]): TaggedFile {
  const parts = partsOf(text);
  if (parts.length === 1) return tagOne(text, tags);
  const problems: FileProblem[] = [];
  const results: TaggedFile[] = [];
  let line = 0;
  for (const part of parts) {
    const result = tagOne(part, tags);
    // A line that looks like an item may be text in quotes: only the whole file tells.
    if (result.problems.some(({ code }) => forAll.has(code))) return tagOne(text, tags);
    problems.push(...result.problems.map((problem) => ({ ...problem, line: problem.line + line })));
    results.push(result);
    line += part.split('\n').length - 1;
  }
  const sum = (of: (result: TaggedFile) => number): number => results.reduce((all, one) => all + of(one), 0);
  return {
    text: results.map((result) => result.text).join(''),
    rules: sum(({ rules }) => rules),
    tagged: sum(({ tagged }) => tagged),
    alreadyTagged: sum(({ alreadyTagged }) => alreadyTagged),
    untagged: sum(({ untagged }) => untagged),
    problems,
    loadsTwice: results.every(({ loadsTwice }) => loadsTwice),
  };
}
