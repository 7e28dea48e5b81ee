/** A client that calls as the API server does: HTTP/1.1, each connection kept, one call at a time on it. */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { percentile } from './figures.ts';

export interface Called {
  readonly port: number;
  /** Of the server's certificate; undefined: no TLS. */
  readonly ca: string | undefined;
  readonly body: string;
  readonly path?: string;
  readonly type?: string;
}

export interface Latencies {
  readonly calls: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const endOfHead = Buffer.from('\r\n\r\n');
const endOfChunks = Buffer.from('\r\n0\r\n\r\n');

/** Bytes of the whole answer in front, or undefined while some are missing. Throws unless the status is 200. */
function lengthOfAnswer(received: Buffer): number | undefined {
  const end = received.indexOf(endOfHead);
  if (end === -1) return undefined;
  const head = received.toString('latin1', 0, end);
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(`answered: ${head}`);
  if (/^transfer-encoding: chunked/im.test(head)) {
    const last = received.indexOf(endOfChunks, end);
    return last === -1 ? undefined : last + endOfChunks.length;
  }
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`answered: ${head}`);
  const total = end + endOfHead.length + Number(length);
  return received.length >= total ? total : undefined;
}

class Caller {
  private readonly socket: Socket;
  private received: Buffer = Buffer.alloc(0);
  private answered: (answer: Buffer) => void = () => {};
  private failed: (error: Error) => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('error', (error) => this.failed(error));
    socket.on('close', () => this.failed(new Error('the connection was closed')));
  }

  static async open({ port, ca }: Called): Promise<Caller> {
    const socket =
      ca === undefined
        ? connectPlain(port, '127.0.0.1')
        : connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
    socket.setNoDelay(true);
    // A second error, after the one that ends the wait, has no one else to hear it.
    socket.on('error', () => {});
    await once(socket, ca === undefined ? 'connect' : 'secureConnect');
    return new Caller(socket);
  }

  call(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.answered = resolve;
      this.failed = reject;
      this.socket.write(request);
    });
  }

  close(): void {
    this.failed = () => {};
    this.socket.destroy();
  }

  private read(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    try {
      const length = lengthOfAnswer(this.received);
      if (length === undefined) return;
      const answer = this.received.subarray(0, length);
      this.received = this.received.subarray(length);
      this.answered(answer);
    } catch (error) {
      this.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function requestOf({ body, path = '/mutate?timeout=5s', type = 'application/json' }: Called): Buffer {
  const length = Buffer.byteLength(body);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Type: ${type}\r\n` +
      `Accept: application/json, */*\r\nContent-Length: ${length}\r\n\r\n${body}`,
  );
}

/** One call; the answer's body. */
export async function callOnce(called: Called): Promise<string> {
  const caller = await Caller.open(called);
  try {
    const answer = await caller.call(requestOf(called));
    const start = answer.indexOf(endOfHead);
    const body = answer.toString('utf8', start + endOfHead.length);
    // JSON on one line has no line breaks of its own.
    return answer.includes(endOfChunks, start) ? body.replaceAll(/(^|\r\n)[0-9a-f]+\r\n/g, '').trim() : body;
  } finally {
    caller.close();
  }
}

/** Calls over so many connections until the time is over. `until` may end it earlier: it is asked before each call. */
export async function load(
  called: Called,
  connections: number,
  seconds: number,
  isOver: (calls: number) => boolean = () => false,
): Promise<Latencies> {
  const request = requestOf(called);
  const callers = await Promise.all(Array.from({ length: connections }, () => Caller.open(called)));
  const took: number[] = [];
  const from = performance.now();
  const end = from + seconds * 1_000;
  const repeat = async (caller: Caller): Promise<void> => {
    for (let start = performance.now(); start < end && !isOver(took.length); ) {
      await caller.call(request);
      const now = performance.now();
      took.push(now - start);
      start = now;
    }
  };
  try {
    await Promise.all(callers.map(repeat));
  } finally {
    for (const caller of callers) caller.close();
  }
  const over = performance.now() - from;
  const sorted = Float64Array.from(took).sort();
  return {
    calls: sorted.length,
    perSecond: (sorted.length / over) * 1_000,
    mean: sorted.reduce((sum, one) => sum + one, 0) / sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? Number.NaN,
  };
}
