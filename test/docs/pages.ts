/** The repository's pages, and what stands in them. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../real/places.ts';

const elsewhere = ['node_modules/**', '.cache/**', 'dist/**'];

/** Paths from the repository's root. */
export const pages: readonly string[] = globSync('**/*.md', { cwd: root, exclude: elsewhere }).sort();

export function textOf(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** A fenced block. */
export interface Block {
  readonly page: string;
  /** Where it begins. */
  readonly line: number;
  /** '' where none is said. */
  readonly language: string;
  readonly text: string;
  /** What the comment right before it says, or that for all commands of its page. */
  readonly mark: string | undefined;
}

/** Where a block is, for people. */
export function placeOf({ page, line }: Block): string {
  return `${page}:${line}`;
}

function parse(page: string, text: string): readonly Block[] {
  const ofPage = /^<!-- commands: (.*) -->$/m.exec(text)?.[1];
  const fences = text.matchAll(/(?:^ *<!-- (.*) -->\n)?^( *)```(\w*)\n([\s\S]*?)^\2```$/gm);
  return [...fences].map(({ index, 1: own, 2: indent = '', 3: language = '', 4: inner = '' }) => ({
    page,
    line: text.slice(0, index).split('\n').length + (own === undefined ? 0 : 1),
    language,
    text: inner.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    mark: own ?? (language === 'sh' ? ofPage : undefined),
  }));
}

export function blocksIn(page: string, language?: string): readonly Block[] {
  const blocks = parse(page, textOf(page));
  return language === undefined ? blocks : blocks.filter((block) => block.language === language);
}

/** The blocks of a language in a page, in order. */
export function snippetsIn(page: string, language: string): readonly string[] {
  return blocksIn(page, language).map(({ text }) => text);
}

/** All but the blocks. */
export function proseOf(page: string): string {
  return textOf(page).replaceAll(/^(\s*)```[\s\S]*?^\1```$/gm, '');
}

/** What stands in backticks in the text, in order. */
export function codeIn(page: string): readonly string[] {
  const prose = proseOf(page).replaceAll(/<!--[\s\S]*?-->/g, '');
  return [...prose.matchAll(/(`+)(.+?)\1(?!`)/g)].map(([, , code = '']) => code.trim());
}

/** Commands of a shell block: one a line, without comments, a line that goes on joined. */
export function commandsOf(text: string): readonly string[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** What headings become in links, as GitHub makes them; equal ones get a number. */
export function anchorsOf(page: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} (.*)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let name = anchor;
    for (let at = 1; anchors.has(name); at += 1) name = `${anchor}-${at}`;
    anchors.add(name);
  }
  // The tables of reasons have anchors of their own.
  for (const [, id = ''] of textOf(page).matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}
