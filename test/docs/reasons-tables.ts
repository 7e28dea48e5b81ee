import { reasons, type Severity } from '../../src/reasons/reasons.ts';

const order: readonly Severity[] = ['done', 'skipped', 'note', 'warning', 'error'];

/** The tables of docs/reasons.md, Markdown: every code by severity, each to be linked to by its name. */
export function reasonsTables(): string {
  return order
    .map((severity) => {
      const rows = Object.entries(reasons)
        .filter(([, reason]) => reason.severity === severity)
        .map(
          ([code, { sentence, remedy }]) =>
            `| <a id="${code}"></a>\`${code}\` | ${sentence} | ${remedy ?? ''} |`,
        );
      return [
        `## ${severity}`,
        '',
        '| code | what happened | what to do |',
        '| --- | --- | --- |',
        ...rows,
        '',
      ].join('\n');
    })
    .join('\n');
}
