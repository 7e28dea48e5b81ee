/** docs/troubleshooting.md: written by hand, but for the list of codes at its end. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { reasons } from '../../src/reasons/reasons.ts';

const page = path.join(import.meta.dirname, '../../docs/troubleshooting.md');
const mark = '<!-- From here on `npm run docs` writes. -->\n';

/** What `##` headings become in links. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .replaceAll(' ', '-');
}

interface Section {
  readonly heading: string;
  readonly text: string;
}

function sectionsOf(text: string): readonly Section[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => ({ heading: section.slice(0, section.indexOf('\n')), text: section }));
}

/** The sections in which a code stands, as links. */
function linksTo(code: string, sections: readonly Section[]): string {
  return sections
    .filter(({ text }) => text.includes(`\`${code}\``))
    .map(({ heading }) => `[${heading}](#${anchorOf(heading)})`)
    .join(', ');
}

/** The codes that the part written by hand names. */
export function handwritten(): string {
  const text = readFileSync(page, 'utf8');
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`${page} has no line ${mark}`);
  return text.slice(0, at);
}

/** The page as it should be. */
export function troubleshooting(): string {
  const byHand = handwritten();
  const sections = sectionsOf(byHand);
  const rows = Object.entries(reasons)
    .filter(([, { severity }]) => severity === 'warning' || severity === 'error')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, { severity }]) =>
        `| [\`${code}\`](reasons.md#${code}) | ${severity} | ${linksTo(code, sections)} |`,
    );
  return [
    byHand + mark,
    '## By reason code',
    '',
    'Warnings and errors; [reasons.md](reasons.md) has what each means and what to do, and the others.',
    '',
    '| code | severity | symptom |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
