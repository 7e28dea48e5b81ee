const [quote, backslash] = [0x22, 0x5c];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

/** Bytes that are put together; the memory is used again and again. */
class Gathered {
  private bytes = Buffer.allocUnsafe(1024);
  private length = 0;

  add(chunk: Buffer, from: number, to: number): void {
    const length = this.length + to - from;
    if (length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(2 * length);
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    chunk.copy(this.bytes, this.length, from, to);
    this.length = length;
  }

  take(): unknown {
    const text = this.bytes.toString('utf8', 0, this.length);
    this.length = 0;
    return JSON.parse(text);
  }
}

/**
 * Cuts a list, as it arrives, into its items: `{"metadata": …, "items": [ITEM, ITEM, …]}`. Parsed as a whole it would be
 * in memory as a whole, text and objects, and what outlives a few milliseconds is not soon given back: a list of 5,000
 * pods would cost 80 MiB for good. The only array right in a list is that of its items, which are objects.
 *
 * Works on bytes: all that counts here is ASCII, and no byte of another character is.
 */
export class ListItems {
  private depth = 0;
  private inString = false;
  private escaped = false;
  private inItems = false;
  private readonly item = new Gathered();
  private readonly rest = new Gathered();

  /** @returns the items that end in this chunk, parsed. Throws where one is no JSON. */
  *add(chunk: Buffer): Generator<unknown> {
    let from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const step = this.inString ? this.passString(chunk[at]) : this.pass(chunk[at]);
      if (step === 'within') continue;
      const to = at + 1;
      // The brackets of the items belong to the rest, what is between items to nothing.
      if (step === 'items begin') this.rest.add(chunk, from, to);
      if (step === 'item ends') {
        this.item.add(chunk, from, to);
        yield this.item.take();
      }
      from = step === 'item begins' || step === 'items end' ? at : to;
    }
    this.keep(chunk, from);
  }

  /** What goes on in the next chunk. */
  private keep(chunk: Buffer, from: number): void {
    if (!this.inItems) this.rest.add(chunk, from, chunk.length);
    else if (this.depth > 2) this.item.add(chunk, from, chunk.length);
  }

  /** What is left of the list without its items. Throws where it is no JSON. */
  end(): unknown {
    return this.rest.take();
  }

  private passString(byte: number | undefined): 'within' {
    if (this.escaped) this.escaped = false;
    else if (byte === backslash) this.escaped = true;
    else if (byte === quote) this.inString = false;
    return 'within';
  }

  private pass(
    byte: number | undefined,
  ): 'within' | 'items begin' | 'item begins' | 'item ends' | 'items end' {
    if (byte === quote) this.inString = true;
    else if (byte === openBrace || byte === openBracket) return this.open(byte === openBracket);
    else if (byte === closeBrace || byte === closeBracket) return this.close();
    return 'within';
  }

  private open(isArray: boolean): 'within' | 'items begin' | 'item begins' {
    this.depth += 1;
    if (this.inItems) return this.depth === 3 ? 'item begins' : 'within';
    if (!isArray || this.depth !== 2) return 'within';
    this.inItems = true;
    return 'items begin';
  }

  private close(): 'within' | 'item ends' | 'items end' {
    this.depth -= 1;
    if (!this.inItems || this.depth > 2) return 'within';
    if (this.depth === 2) return 'item ends';
    this.inItems = false;
    return 'items end';
  }
}
