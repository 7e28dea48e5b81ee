/** A place in a text, with lines and columns counted as Falco's parser counts them. */

/** What Falco's parser refuses. Thrown inside this room only. */
export class NotYaml extends Error {
  /** From 1. */
  readonly line: number;
  constructor(why: string, line: number) {
    super(why);
    this.line = line;
  }
}

export class Cursor {
  readonly text: string;
  at = 0;
  /** Of the place, from 1. */
  line = 1;
  /** Where the line begins, as far as columns are concerned. */
  private lineStart = 0;
  /** Breaks of other kinds than the text's first one end lines, but a column goes on behind them. */
  private readonly carriageReturns: boolean;

  constructor(text: string) {
    this.text = text;
    this.carriageReturns = breakAt(text, text.search(/[\r\n]/)) === '\r';
  }

  /** The character here; '' at the end. */
  get char(): string {
    return this.text.charAt(this.at);
  }

  get column(): number {
    return this.at - this.lineStart;
  }

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  /** Moves to the first match of a global expression that matches single characters, or to the end. */
  moveTo(stop: RegExp): void {
    stop.lastIndex = this.at;
    this.at = stop.test(this.text) ? stop.lastIndex - 1 : this.text.length;
  }

  skipBlanks(): void {
    while (isBlank(this.char)) this.at++;
  }

  eatBreak(): void {
    const eaten = breakAt(this.text, this.at);
    const start = this.at;
    this.at += eaten.length;
    if (this.carriageReturns ? eaten !== '\n' : eaten !== '\r') {
      this.line++;
      this.lineStart = this.carriageReturns ? start + 1 : this.at;
    }
  }

  /** Whether `---` or `...` stands here by itself at the begin of a line. */
  isAtDocumentMark(): boolean {
    const { char } = this;
    if ((char !== '-' && char !== '.') || this.column !== 0) return false;
    return this.text.startsWith(char.repeat(3), this.at) && isSpaceOrEnd(this.text.charAt(this.at + 3));
  }

  refuse(why: string): NotYaml {
    return new NotYaml(why, this.line);
  }
}

/** The line break at an offset; '' where there is none. */
export function breakAt(text: string, at: number): '' | '\n' | '\r' | '\r\n' {
  const char = text.charAt(at);
  if (char === '\n') return '\n';
  if (char !== '\r') return '';
  return text.charAt(at + 1) === '\n' ? '\r\n' : '\r';
}

export function isBlank(char: string): boolean {
  return char === ' ' || char === '\t';
}

export function isBreak(char: string): boolean {
  return char === '\n' || char === '\r';
}

export function isSpaceOrEnd(char: string): boolean {
  return char === '' || isBlank(char) || isBreak(char);
}
