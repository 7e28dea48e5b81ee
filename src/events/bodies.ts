/** Reads bodies of requests within one bound for all of them together, and decompresses them. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { messageOf } from '../reasons/message-of.ts';
import { largestBody, largestDecoded } from './bounds.ts';
import { Refusal } from './refusal.ts';

export interface ReadBody {
  readonly body: Buffer;
  /** To be called when the body's memory is not needed any more. */
  readonly release: () => void;
}

/** Bytes of a body that is refused already which are read and thrown away, so that its sender gets the answer. */
const mostThrownAway = 2 * largestBody;

const decoders: Readonly<
  Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = { gzip: promisify(gunzip), zstd: promisify(zstdDecompress) };

const tooLarge = (): Refusal =>
  new Refusal(413, 'too_large', `a body may have ${largestBody} bytes, and ${largestDecoded} decompressed`);

const tooMany = (): Refusal =>
  new Refusal(503, 'too_many', 'too many events at once: send this request again');

export class Bodies {
  private readonly bound: number;
  private bytes = 0;
  /** Bodies that are not there yet, those that take longest first: how each is given up. */
  private readonly unfinished = new Map<IncomingMessage, (why: Refusal) => void>();
  private decoding: Promise<unknown> = Promise.resolve();

  /** @param bound bytes of all bodies together */
  constructor(bound: number) {
    this.bound = bound;
  }

  /** Rejects with a Refusal; undefined where the sender broke off. */
  async read(request: IncomingMessage): Promise<ReadBody | undefined> {
    const encoding = request.headers['content-encoding'] ?? 'identity';
    const decoder = Object.hasOwn(decoders, encoding) ? decoders[encoding] : undefined;
    if (decoder === undefined && encoding !== 'identity')
      throw new Refusal(415, 'type', `content-encoding must be gzip, zstd or identity, not ${encoding}`);
    const read = await this.receive(request);
    if (read === undefined || decoder === undefined) return read;
    // One after the other: a few kilobytes may become megabytes.
    const decoded = this.decoding.then(() => decoder(read.body, { maxOutputLength: largestDecoded }));
    this.decoding = decoded.catch(() => {});
    try {
      const body = await decoded;
      this.bytes += body.length;
      if (this.bytes > this.bound) {
        this.bytes -= body.length;
        throw tooMany();
      }
      return { body, release: () => (this.bytes -= body.length) };
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
        throw tooLarge();
      throw new Refusal(400, 'not_readable', `the body is not ${encoding}: ${messageOf(error)}`);
    } finally {
      read.release();
    }
  }

  private receive(request: IncomingMessage): Promise<ReadBody | undefined> {
    return new Promise((resolve, reject) => {
      let chunks: Buffer[] = [];
      let length = 0;
      let kept = 0;
      let refusal: Refusal | undefined;
      const release = (): void => {
        this.bytes -= kept;
        kept = 0;
        chunks = [];
      };
      const refuse = (why: Refusal): void => {
        this.unfinished.delete(request);
        release();
        refusal = why;
      };
      // Its answer goes out at once: who is slow now would be slow to hear it, too.
      const giveUp = (why: Refusal): void => {
        refuse(why);
        reject(why);
      };
      this.unfinished.set(request, giveUp);
      request.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (refusal !== undefined) {
          if (length > mostThrownAway) reject(refusal);
          return;
        }
        chunks.push(chunk);
        kept += chunk.length;
        this.bytes += chunk.length;
        if (length > largestBody) refuse(tooLarge());
        else if (this.bytes > this.bound && !this.makeRoom(request)) refuse(tooMany());
      });
      request.on('end', () => {
        this.unfinished.delete(request);
        if (refusal !== undefined) return reject(refusal);
        const [body = Buffer.alloc(0)] = chunks.length > 1 ? [Buffer.concat(chunks)] : chunks;
        // Once is enough.
        chunks = [];
        resolve({ body, release });
      });
      request.on('error', () => {});
      request.on('close', () => {
        // After its end this is too late to mean anything.
        if (request.complete) return;
        this.unfinished.delete(request);
        release();
        resolve(undefined);
      });
    });
  }

  /** Gives up the bodies that take longest. @returns whether there is room now */
  private makeRoom(for_: IncomingMessage): boolean {
    for (const [request, giveUp] of this.unfinished) {
      if (this.bytes <= this.bound) return true;
      if (request !== for_) giveUp(new Refusal(408, 'too_slow', 'others need the room: send faster'));
    }
    return this.bytes <= this.bound;
  }
}
