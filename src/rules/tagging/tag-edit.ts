/**
 * Where a tag goes in the text of a rule, and what it adds to what Falco's parser reads:
 *
 *     tags: [a, b]      ->  tags: [a, b, staging]
 *     tags: []          ->  tags: [staging]
 *     tags:                 tags:
 *       - a             ->    - a
 *                             - staging
 *     (no tags)         ->  a last line `tags: [staging]` in the rule's item, so that no line of the rule moves
 *     {rule: X, …}      ->  {rule: X, …, tags: [staging]}
 *     tags: *elsewhere  ->  the list written out, if adding to it would change more than tags
 */
import {
  type AliasNode,
  breakAt,
  isBreak,
  type MappingNode,
  type Node,
  type Pair,
  resolve,
  type SequenceNode,
  type TextEdit,
  type Token,
  type TokenKind,
} from '../../yaml/falco-yaml.ts';

/** A token as the edited text must have it. */
export type ExpectedToken = readonly [kind: TokenKind, value?: string];

export interface TagEdit extends TextEdit {
  /** How many tokens of the text as it was come before the change. */
  readonly token: number;
  /** How many of them go, and what comes. */
  readonly removed: number;
  readonly added: readonly ExpectedToken[];
}

export function isExpected(token: Token | 'end', [kind, value = '']: ExpectedToken): boolean {
  return token !== 'end' && token.kind === kind && token.value === value;
}

/** A tag as YAML: plain where every reader takes it for a text without structure, otherwise in double quotes. */
class WrittenTag {
  readonly text: string;
  readonly token: ExpectedToken;

  constructor(tag: string, quoted: boolean) {
    const plain = !quoted && /^[A-Za-z0-9_][\w.-]*$/.test(tag) && !/^(?:null|Null|NULL)$/.test(tag);
    this.text = plain ? tag : JSON.stringify(tag);
    this.token = [plain ? 'plain' : 'double_quoted', tag];
  }
}

function written(tags: readonly string[], quoted = false): readonly WrittenTag[] {
  return tags.map((tag) => new WrittenTag(tag, quoted));
}

interface FlowItems {
  readonly text: string;
  readonly tokens: readonly ExpectedToken[];
}

function flowItems(tags: readonly WrittenTag[]): FlowItems {
  return {
    text: tags.map(({ text }) => text).join(', '),
    tokens: tags.flatMap(({ token }, at): ExpectedToken[] => (at === 0 ? [token] : [['flow_entry'], token])),
  };
}

function flowList(tags: readonly WrittenTag[]): FlowItems {
  const { text, tokens } = flowItems(tags);
  return { text: `[${text}]`, tokens: [['flow_sequence'], ...tokens, ['flow_sequence_end']] };
}

/** Makes the edits of one text. Tags, like the text, have a character for each byte. */
export class TagEditor {
  private readonly text: string;
  /** The line break that counts, as Falco's parser sees it, or a usual one in a text of one line. */
  private readonly eol: string;

  constructor(text: string) {
    this.text = text;
    this.eol = /\r\n|\n|\r/.exec(text)?.[0] ?? '\n';
  }

  /** The list with tags put behind its last one; undefined where there is no place for them. */
  growList(list: SequenceNode, tags: readonly string[]): TagEdit | undefined {
    return list.style === 'flow' ? this.growFlow(list, tags) : this.growBlock(list, tags);
  }

  private growFlow(list: SequenceNode, tags: readonly string[]): TagEdit {
    const last = list.items.at(-1);
    const quoted = last?.is === 'scalar' && last.style === 'double_quoted';
    const { text, tokens } = flowItems(written(tags, quoted));
    if (last === undefined)
      return this.insert(list.at + 1, list.token + 1, this.beforeComment(list.at + 1, text), tokens);
    return this.insert(last.end, last.endToken, this.beforeComment(last.end, `, ${text}`), [
      ['flow_entry'],
      ...tokens,
    ]);
  }

  /** To Falco's parser a comment may stand right behind a bracket or a quote, but not behind a plain text. */
  private beforeComment(at: number, text: string): string {
    return this.text.charAt(at) === '#' ? `${text} ` : text;
  }

  private growBlock(list: SequenceNode, tags: readonly string[]): TagEdit | undefined {
    const last = list.items.at(-1);
    if (last === undefined) return undefined;
    const items = written(tags);
    return this.addLines(
      last,
      list.column,
      items.map(({ text }) => `- ${text}`),
      items.flatMap(({ token }): ExpectedToken[] => [['block_entry'], token]),
    );
  }

  /** The list of an alias written out in its place. */
  writeOut(alias: AliasNode, tags: readonly string[]): TagEdit {
    const { text, tokens } = flowList(written(tags));
    const length = alias.end - alias.at;
    return { at: alias.at, length, text, token: alias.token, removed: 1, added: tokens };
  }

  /** The rule with a key `tags` of its own; undefined where there is no place for it. */
  addKey(map: MappingNode, tags: readonly string[]): TagEdit | undefined {
    if (map.style === 'compact') return undefined;
    return map.style === 'flow' ? this.addFlowKey(map, tags) : this.addBlockKey(map, tags);
  }

  private addFlowKey(map: MappingNode, tags: readonly string[]): TagEdit {
    const first = map.pairs[0]?.key;
    const quoted = first?.is === 'scalar' && first.style === 'double_quoted';
    const list = flowList(written(tags));
    const text = `${quoted ? '"tags"' : 'tags'}: ${list.text}`;
    const key: ExpectedToken = [quoted ? 'double_quoted' : 'plain', 'tags'];
    const tokens: readonly ExpectedToken[] = [['key'], key, ['value'], ...list.tokens];
    const last = map.pairs.at(-1);
    if (last !== undefined && resolve(last.value).is !== 'null' && last.value.end > last.value.at) {
      return this.insert(last.end, last.endToken, `, ${text}`, [['flow_entry'], ...tokens]);
    }
    return this.insert(map.at + 1, map.token + 1, `${text}, `, [...tokens, ['flow_entry']]);
  }

  private addBlockKey(map: MappingNode, tags: readonly string[]): TagEdit | undefined {
    const list = flowList(written(tags));
    const tokens: readonly ExpectedToken[] = [['key'], ['plain', 'tags'], ['value'], ...list.tokens];
    // Behind the last pair, or behind the last that lets something follow it.
    for (const pair of map.pairs.toReversed()) {
      const edit = this.addLines(pair, map.column, [`tags: ${list.text}`], tokens);
      if (edit !== undefined) return edit;
    }
    return undefined;
  }

  /** New lines behind the line that something ends in; undefined where that cannot be, or something else follows. */
  private addLines(
    behind: Pair | Node,
    column: number,
    lines: readonly string[],
    tokens: readonly ExpectedToken[],
  ): TagEdit | undefined {
    const { end, endToken, open } = behind;
    if (open) return undefined;
    const indented = lines.map((line) => ' '.repeat(column) + line);
    // Behind a block scalar, whose last line break is its own.
    if (end > 0 && isBreak(this.text.charAt(end - 1))) {
      const eol = breakAt(this.text, this.text.startsWith('\r\n', end - 2) ? end - 2 : end - 1);
      if (!this.beginsColumns(eol)) return undefined;
      return this.insert(end, endToken, indented.map((line) => line + eol).join(''), tokens);
    }
    restOfLine.lastIndex = end;
    const rest = restOfLine.exec(this.text);
    if (rest === null) return undefined;
    const at = end + rest[0].length;
    const found = breakAt(this.text, at);
    const eol = this.beginsColumns(found) ? found : this.eol;
    return this.insert(at, endToken, indented.map((line) => eol + line).join(''), tokens);
  }

  /** Whether columns begin anew behind such a line break: not where it is of another kind than the text's first. */
  private beginsColumns(eol: string): boolean {
    return eol !== '' && (this.eol === '\r') === (eol === '\r');
  }

  private insert(at: number, token: number, text: string, added: readonly ExpectedToken[]): TagEdit {
    return { at, length: 0, text, token, removed: 0, added };
  }
}

const restOfLine = /[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|$)/y;
