import { counted, type Group, type Line, type Mark } from './line.ts';

const signs: Readonly<Record<Mark, string>> = { ok: '✓', warning: '‼', error: '✗' };

/** Of a terminal: green, yellow, red. */
const colours: Readonly<Record<Mark, number>> = { ok: 32, warning: 33, error: 31 };

function lineText({ mark, text, why, fix }: Line, coloured: boolean): string {
  const sign = coloured ? `\u001b[${colours[mark]}m${signs[mark]}\u001b[0m` : signs[mark];
  const rest = [...(why === undefined ? [] : [why]), ...(fix === undefined ? [] : [`→ ${fix}`])];
  return [`${sign} ${text}`, ...rest.map((one) => `    ${one.replaceAll('\n', '\n    ')}`)].join('\n');
}

/** Lines of one kind that are told; of five hundred namespaces nobody reads each. */
const mostTold = 10;
const examples = 3;

/** Examples of lines that are many, and how many more there are; programs get all of them. */
function summarised(lines: readonly Line[]): readonly Line[] {
  const kindOf = ({ check, mark }: Line): string => `${check} ${mark}`;
  const kinds = Map.groupBy(lines, kindOf);
  return lines.flatMap((line) => {
    const kind = kinds.get(kindOf(line)) ?? [];
    if (kind.length <= mostTold) return [line];
    const at = kind.indexOf(line);
    if (at < examples) return [line];
    if (at > examples) return [];
    const { check, mark } = line;
    return [{ check, mark, text: `${kind.length - examples} more lines of ${check}: --output json has all` }];
  });
}

/** What is wrong of a group, a line each. */
export function shortText({ lines }: Group): string {
  return lines
    .filter(({ mark }) => mark !== 'ok')
    .map(({ check, mark, text, why }) => `${signs[mark]} ${check}: ${text}: ${why}\n`)
    .join('');
}

/** A group as people read it; ends with a line break. */
export function groupText({ name, lines: all }: Group, coloured: boolean): string {
  const lines = summarised(all);
  return `${name}\n${'-'.repeat(name.length)}\n${lines.map((line) => lineText(line, coloured)).join('\n')}\n\n`;
}

function countOf(groups: readonly Group[], mark: Mark): number {
  return groups.flatMap(({ lines }) => lines).filter((line) => line.mark === mark).length;
}

/** The last line. */
export function summaryText(groups: readonly Group[]): string {
  const [errors, warnings] = [countOf(groups, 'error'), countOf(groups, 'warning')];
  const told = `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`;
  return `${errors > 0 ? 'Unhealthy' : 'Healthy'}: ${told}.\n`;
}

/** All of it for programs: JSON. */
export function asJson(groups: readonly Group[], version: string, cluster: string | undefined): string {
  const errors = countOf(groups, 'error');
  const result = { version, ...(cluster === undefined ? {} : { server: cluster }), ok: errors === 0, groups };
  return `${JSON.stringify(result, null, 2)}\n`;
}
