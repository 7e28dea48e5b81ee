import type { Node } from 'yaml';
import { inlinePair, inlineText } from './print-node.ts';

/** What is put into a collection: a value alone, or with its key; as data and as a node with its spelling. */
export interface Addition {
  readonly key?: string;
  readonly value: unknown;
  readonly node: Node;
}

/** How entries are written into collections with brackets. */
export interface FlowNotation {
  /** @param indent of the line that the entry begins; `undefined` where it shares a line with others */
  readonly print: (addition: Addition, indent: string | undefined) => string;
  /** What stands behind a comma; `gap` is what stands in front of the collection's second entry, if it has one. */
  readonly between: (gap: string | undefined) => string;
  /** The inside of a collection that was empty, in a line of this indentation. */
  readonly filled: (additions: readonly Addition[], indent: string) => string;
}

function yamlText({ key, node }: Addition): string {
  return key === undefined ? inlineText(node) : inlinePair(key, node);
}

export const yamlFlow: FlowNotation = {
  print: yamlText,
  between: () => ' ',
  filled: (additions) => additions.map(yamlText).join(', '),
};

/**
 * JSON as its text has it.
 *
 * @param unit what each level is indented by; `undefined` where all stands in one line
 * @param eol what lines end with
 */
export function jsonFlow(unit: string | undefined, eol: string): FlowNotation {
  const print = ({ key, value }: Addition, indent: string | undefined): string => {
    const lines = JSON.stringify(value, null, indent === undefined ? undefined : unit).split('\n');
    const text = lines.join(eol + (indent ?? ''));
    return key === undefined ? text : `${JSON.stringify(key)}:${unit === undefined ? '' : ' '}${text}`;
  };
  return {
    print,
    between: (gap) => (gap === ' ' || (gap === undefined && unit !== undefined) ? ' ' : ''),
    filled: (additions, indent) => {
      if (unit === undefined) return additions.map((one) => print(one, undefined)).join(',');
      const deeper = indent + unit;
      const lines = additions.map((one) => `${eol}${deeper}${print(one, deeper)}`);
      return `${lines.join(',')}${eol}${indent}`;
    },
  };
}
