/**
 * A text cut into the tokens that Falco's parser cuts it into. What a text means depends on nothing else: two texts
 * with the same tokens are the same to Falco.
 *
 * Two things make it more than cutting. Indentation begins and ends collections, by tokens without text. And whether
 * a text is a key shows only at the colon behind it: a key's token (and the begin of its mapping) waits `unsure`
 * until then.
 */

import { scanBlock } from './block-scalar.ts';
import { Cursor, isBlank, isBreak, isSpaceOrEnd } from './cursor.ts';
import { scanPlain } from './plain-scalar.ts';
import { scanQuoted } from './quoted-scalar.ts';
import { decide, type Indent, type PossibleKey, type Token, type TokenKind } from './token.ts';

/** A key lies on one line and is no longer, for Falco's parser. */
const longestKey = 1024;

/** Tokens that wait for a key's colon, before it is asked whether any colon can come. */
const mostWaiting = 10_000;

const anchorStop = /[[\]{}, \t\r\n]/g;
const commentStop = /[\r\n]/g;
const directiveStop = /[ \t\r\n]/g;

// `!<verbatim>`, `!handle!suffix`, `!suffix`, `!`.
const tagText =
  /!(?:<(?:[\w#;/?:@&=+$,.!~*'()[\]-]|%[\da-fA-F]{2})*>|[A-Za-z\d-]*!(?:[\w#;/?:@&=+$.~*'()-]|%[\da-fA-F]{2})+|(?!<)(?:[\w#;/?:@&=+$.~*'()-]|%[\da-fA-F]{2})*(?![\w#;/?:@&=+$.~*'()!-]|%[\da-fA-F]{2}))/y;

export class Tokens {
  private readonly cursor: Cursor;
  /** Where the token that is read now begins. */
  private at = 0;
  private line = 1;
  private column = 0;
  private readonly queue: Token[] = [];
  private head = 0;
  private ended = false;
  private mayBeKey = true;
  /** False behind a quoted text in a line: another text there is an error. */
  private mayBeScalar = true;
  /** A colon right behind a quoted text or a collection needs no blank within a flow collection. */
  private colonNeedsNoBlank = false;
  private readonly indents: Indent[] = [{ column: -1, of: 'nothing', sure: 'sure' }];
  private readonly keys: PossibleKey[] = [];
  private readonly flows: ('flow_sequence' | 'flow_mapping')[] = [];

  constructor(text: string) {
    this.cursor = new Cursor(text);
    // Falco's parser takes this character for the end of its input, in some places.
    if (text.includes('\u0004')) throw this.cursor.refuse('control character U+0004');
  }

  /** The next token; undefined at the end of the text. */
  peek(): Token | undefined {
    for (;;) {
      const token = this.queue[this.head];
      if (token !== undefined) {
        if (token.sure === 'sure' || (this.ended && token.sure === 'unsure')) return token;
        if (token.sure === 'void' || this.isKeyTooLong(token)) {
          this.drop();
          continue;
        }
      }
      if (this.ended) return undefined;
      this.scan();
    }
  }

  next(): Token | undefined {
    const token = this.peek();
    if (token !== undefined) this.drop();
    return token;
  }

  private drop(): void {
    this.head++;
    if (this.head < this.queue.length) return;
    this.queue.length = 0;
    this.head = 0;
  }

  /**
   * Whether no colon can make a key any more of the flow collection that has begun there: then its tokens need not
   * wait for its end, which may be that of a large file.
   */
  private isKeyTooLong(token: Token): boolean {
    const outermost = this.keys[0];
    return (
      this.queue.length - this.head > mostWaiting &&
      outermost?.isFlow === true &&
      outermost.tokens.includes(token) &&
      this.flows.length > outermost.flowLevel &&
      (this.cursor.line !== token.line || this.cursor.at - token.at > longestKey)
    );
  }

  /** Adds a token that begins at the mark. */
  private push(kind: TokenKind, value = '', end = this.cursor.at, open = false): Token {
    const { at, line, column } = this;
    const token: Token = { kind, value, at, end, line, column, open, sure: 'sure' };
    this.queue.push(token);
    return token;
  }

  private get inFlow(): boolean {
    return this.flows.length > 0;
  }

  private scan(): void {
    const { cursor } = this;
    this.skipToToken();
    this.at = cursor.at;
    this.line = cursor.line;
    this.column = cursor.column;
    this.closeIndents();
    if (cursor.ended) {
      this.closeAllIndents();
      this.keys.length = 0;
      this.ended = true;
      return;
    }
    if (this.column === 0 && this.scanDocumentLevel()) return;
    if (this.scanStructure() || this.scanProperty()) return;
    this.scanScalar();
  }

  private skipToToken(): void {
    const { cursor } = this;
    for (;;) {
      while (isBlank(cursor.char)) {
        if (cursor.char === '\t' && !this.inFlow) this.mayBeKey = false;
        cursor.at++;
      }
      if (cursor.char === '#') cursor.moveTo(commentStop);
      if (!isBreak(cursor.char)) return;
      cursor.eatBreak();
      this.giveUpKey();
      this.mayBeScalar = true;
      if (!this.inFlow) this.mayBeKey = true;
    }
  }

  // --- document level ---------------------------------------------------------------------------------------

  private scanDocumentLevel(): boolean {
    const { cursor } = this;
    const isDirective = cursor.char === '%';
    if (!isDirective && !cursor.isAtDocumentMark()) return false;
    this.closeAllIndents();
    this.keys.length = 0;
    this.mayBeKey = false;
    this.colonNeedsNoBlank = false;
    if (isDirective) this.scanDirective();
    else {
      const kind = cursor.char === '-' ? 'document_start' : 'document_end';
      cursor.at += 3;
      this.push(kind);
    }
    return true;
  }

  private scanDirective(): void {
    const { cursor } = this;
    const words: string[] = [];
    cursor.at++;
    do {
      const from = cursor.at;
      cursor.moveTo(directiveStop);
      words.push(cursor.text.slice(from, cursor.at));
      cursor.skipBlanks();
    } while (!cursor.ended && !isBreak(cursor.char) && cursor.char !== '#');
    this.push('directive', words.join(' '));
  }

  // --- collections ------------------------------------------------------------------------------------------

  /** Brackets, commas, dashes, question marks and colons. */
  private scanStructure(): boolean {
    const { char } = this.cursor;
    if (char === '[' || char === '{') this.beginFlow(char);
    else if (char === ']' || char === '}') this.endFlow(char);
    else if (char === ',') this.scanComma();
    else if (char === '-' && this.isIndicator()) this.scanDash();
    else if (char === '?' && this.isIndicator() && !this.isLast()) this.scanQuestionMark();
    else if (char === ':' && this.isColon()) this.scanColon();
    else return false;
    return true;
  }

  private isIndicator(): boolean {
    return isSpaceOrEnd(this.cursor.text.charAt(this.cursor.at + 1));
  }

  private isLast(): boolean {
    return this.cursor.at + 1 === this.cursor.text.length;
  }

  private isColon(): boolean {
    if (!this.inFlow) return this.isIndicator();
    if (this.colonNeedsNoBlank) return true;
    if (this.isLast()) return false;
    return this.isIndicator() || /[,\]}]/.test(this.cursor.text.charAt(this.cursor.at + 1));
  }

  private single(kind: TokenKind): void {
    this.cursor.at++;
    this.push(kind);
  }

  private beginFlow(char: '[' | '{'): void {
    this.mayBecomeKey(true);
    this.mayBeKey = true;
    this.colonNeedsNoBlank = false;
    const kind = char === '[' ? 'flow_sequence' : 'flow_mapping';
    this.flows.push(kind);
    this.single(kind);
  }

  private endFlow(char: ']' | '}'): void {
    if (!this.inFlow) throw this.cursor.refuse(`${char} without an opening bracket`);
    this.endFlowEntry();
    this.mayBeKey = false;
    this.colonNeedsNoBlank = true;
    const kind = char === ']' ? 'flow_sequence' : 'flow_mapping';
    if (this.flows.pop() !== kind) throw this.cursor.refuse(`${char} does not match its opening bracket`);
    this.single(`${kind}_end`);
  }

  /** A key that stands alone in a flow mapping has an empty value. */
  private endFlowEntry(): void {
    const flow = this.flows.at(-1);
    if (flow === 'flow_mapping' && this.confirmKey()) this.push('value');
    else if (flow === 'flow_sequence') this.giveUpKey();
  }

  private scanComma(): void {
    if (this.column === 0) throw this.cursor.refuse('a comma at the beginning of a line');
    if (!this.mayBeScalar) throw this.cursor.refuse('a comma after a quoted scalar');
    this.endFlowEntry();
    this.mayBeKey = true;
    this.colonNeedsNoBlank = false;
    this.single('flow_entry');
  }

  private scanDash(): void {
    if (this.inFlow || !this.mayBeKey) throw this.cursor.refuse('a sequence item is not allowed here');
    this.openIndent('sequence');
    this.mayBeKey = true;
    this.colonNeedsNoBlank = false;
    this.single('block_entry');
  }

  private scanQuestionMark(): void {
    if (!this.inFlow) {
      if (!this.mayBeKey) throw this.cursor.refuse('a mapping key is not allowed here');
      this.openIndent('mapping');
    }
    this.mayBeKey = !this.inFlow;
    this.single('key');
  }

  private scanColon(): void {
    const isKeyBefore = this.confirmKey();
    this.colonNeedsNoBlank = false;
    if (!isKeyBefore && !this.inFlow) {
      if (!this.mayBeKey) throw this.cursor.refuse('a colon is not allowed here');
      this.openIndent('mapping');
    }
    this.mayBeKey = !isKeyBefore && !this.inFlow;
    this.mayBeScalar = true;
    this.single('value');
  }

  // --- indentation ------------------------------------------------------------------------------------------

  /** Begins a collection here, unless it goes on here. */
  private openIndent(of: 'sequence' | 'mapping'): { indent: Indent; start: Token } | undefined {
    if (this.inFlow) return undefined;
    const { column } = this;
    const last = this.indents.at(-1);
    // A list may stand at the column of the mapping that it belongs to.
    const isDeeper =
      last === undefined ||
      column > last.column ||
      (column === last.column && of === 'sequence' && last.of === 'mapping');
    if (!isDeeper) return undefined;
    const start = this.push(of === 'sequence' ? 'block_sequence' : 'block_mapping');
    const indent: Indent = { column, of, sure: 'sure' };
    this.indents.push(indent);
    return { indent, start };
  }

  /** Ends the collections that are indented deeper than what comes now. */
  private closeIndents(): void {
    if (this.inFlow) return;
    const { column } = this;
    const { char } = this.cursor;
    for (let top = this.indents.at(-1); top !== undefined; top = this.indents.at(-1)) {
      const goesOn =
        top.column === column && !(top.of === 'sequence' && !(char === '-' && this.isIndicator()));
      if (top.column < column || goesOn) break;
      this.closeIndent(top);
    }
    for (let top = this.indents.at(-1); top?.sure === 'void'; top = this.indents.at(-1))
      this.closeIndent(top);
  }

  private closeAllIndents(): void {
    if (this.inFlow) return;
    for (
      let top = this.indents.at(-1);
      top !== undefined && top.of !== 'nothing';
      top = this.indents.at(-1)
    ) {
      this.closeIndent(top);
    }
  }

  private closeIndent(top: Indent): void {
    this.indents.pop();
    if (top.sure !== 'sure') this.giveUpKey();
    else if (top.of !== 'nothing') this.push(`block_${top.of}_end`);
  }

  // --- keys -------------------------------------------------------------------------------------------------

  /** What begins here is a key if a colon comes behind it. */
  private mayBecomeKey(isFlow = false): void {
    if (!this.mayBeKey || this.keys.at(-1)?.flowLevel === this.flows.length) return;
    const { at, line } = this;
    const opened = this.openIndent('mapping');
    if (opened !== undefined) opened.indent.sure = 'unsure';
    const tokens = [...(opened === undefined ? [] : [opened.start]), this.push('key')];
    for (const token of tokens) token.sure = 'unsure';
    this.keys.push({ at, line, flowLevel: this.flows.length, isFlow, indent: opened?.indent, tokens });
  }

  private giveUpKey(): void {
    const key = this.keys.at(-1);
    if (key?.flowLevel !== this.flows.length) return;
    decide(key, 'void');
    this.keys.pop();
  }

  private confirmKey(): boolean {
    const key = this.keys.at(-1);
    if (key?.flowLevel !== this.flows.length) return false;
    this.keys.pop();
    const isKey = this.cursor.line === key.line && this.cursor.at - key.at <= longestKey;
    decide(key, isKey ? 'sure' : 'void');
    return isKey;
  }

  // --- properties and scalars -------------------------------------------------------------------------------

  private scanProperty(): boolean {
    const { char } = this.cursor;
    if (char !== '*' && char !== '&' && char !== '!') return false;
    this.mayBecomeKey();
    this.mayBeKey = false;
    this.colonNeedsNoBlank = false;
    if (char === '!') this.scanTag();
    else this.scanAnchor(char === '*' ? 'alias' : 'anchor');
    return true;
  }

  private scanAnchor(kind: 'alias' | 'anchor'): void {
    const { cursor } = this;
    cursor.at++;
    cursor.moveTo(anchorStop);
    const name = cursor.text.slice(this.at + 1, cursor.at);
    if (name === '') throw cursor.refuse(`${kind} without a name`);
    if (cursor.char === '[' || cursor.char === '{') throw cursor.refuse(`a bracket after an ${kind}`);
    this.push(kind, name);
  }

  private scanTag(): void {
    const { cursor } = this;
    tagText.lastIndex = cursor.at;
    const text = tagText.exec(cursor.text)?.[0];
    if (text === undefined) throw cursor.refuse('invalid tag');
    cursor.at += text.length;
    this.push('tag', text === '!<>' ? '' : text);
  }

  private scanScalar(): void {
    const { cursor } = this;
    const { char } = cursor;
    if (!this.inFlow && (char === '|' || char === '>')) this.scanBlockScalar();
    else if (!this.mayBeScalar) throw cursor.refuse('unexpected text after a quoted scalar');
    else if (char === '"' || char === "'") this.scanQuotedScalar(char);
    else if (this.isPlainHere()) this.scanPlainScalar();
    else throw cursor.refuse(`a scalar cannot start with ${char}`);
  }

  private scanBlockScalar(): void {
    const { value, end, open } = scanBlock(this.cursor, this.topColumn);
    this.mayBeKey = true;
    this.colonNeedsNoBlank = false;
    this.push('block_scalar', value, end, open);
  }

  private scanQuotedScalar(quote: '"' | "'"): void {
    this.mayBecomeKey();
    const { value, end, open } = scanQuoted(this.cursor);
    this.mayBeKey = false;
    this.mayBeScalar = this.inFlow;
    this.colonNeedsNoBlank = true;
    this.push(quote === '"' ? 'double_quoted' : 'single_quoted', value, end, open);
  }

  private scanPlainScalar(): void {
    const indent = this.inFlow ? 0 : this.topColumn + 1;
    this.mayBecomeKey();
    const { value, end, open, endsLine } = scanPlain(this.cursor, indent, this.inFlow);
    this.mayBeKey = endsLine;
    this.colonNeedsNoBlank = false;
    this.push('plain', value, end, open);
  }

  private get topColumn(): number {
    return this.indents.at(-1)?.column ?? 0;
  }

  private isPlainHere(): boolean {
    const { char, text, at } = this.cursor;
    if (/[|>%@`]/.test(char) || (char === '?' && this.inFlow)) return false;
    if (!/[-?:]/.test(char)) return true;
    const next = text.charAt(at + 1);
    return this.inFlow ? next !== '' && !isBlank(next) : !isSpaceOrEnd(next);
  }
}
