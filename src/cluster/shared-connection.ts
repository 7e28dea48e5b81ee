/**
 * One HTTP/2 connection for all requests to an API server, as other Kubernetes clients have: watches are open for as long
 * as we run, and a connection for each would cost some 100 KB here, and as much there.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/** What is sent, by whichever protocol. */
export interface Sent {
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
}

/** An answer, its body yet to come. */
export interface Answered {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: AsyncIterable<Buffer>;
}

/** How a connection is made. */
export interface Tls extends Pick<ConnectionOptions, 'secureContext' | 'servername' | 'rejectUnauthorized'> {
  /** Authority, certificate and key: where they are others, another connection is made. */
  readonly of: string;
}

interface Shared {
  readonly session: ClientHttp2Session;
  /** Requests whose answers have not ended. */
  open: number;
  /** It takes no more requests, and goes when those that are open have ended. */
  isFormer: boolean;
}

/** At once over one connection: so many an API server allows at least. */
const mostOpen = 100;

/** Bytes that may be on their way over one connection; 65,535 of them of one answer. */
const windowSize = 4 * 1024 * 1024;

/** Milliseconds for a connection to be made, and for a sign of life on it. */
const connectTime = 10_000;
const pongTime = 5_000;

/** How soon the system finds out that the other side of an idle connection is gone: this, and some ten seconds. */
export const keepAliveDelay = 30_000;

interface Made {
  readonly of: string;
  /** Undefined where the server speaks HTTP/1.1 alone. */
  readonly shared: Promise<Shared | undefined>;
}

/** The latest connection by server. */
const latest = new Map<string, Made>();

async function make({ origin, hostname, port }: URL, { of: _, ...tls }: Tls): Promise<Shared | undefined> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const name = isIP(host) ? {} : { servername: host };
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] };
  const socket = connectTls({ host, port: Number(port || 443), ...name, ...tls, ...protocols });
  // Who waits for an answer has a timer of its own.
  socket.unref();
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
    socket.setTimeout(connectTime, () => socket.destroy(new Error('no connection within 10 s')));
  });
  socket.setTimeout(0);
  if (socket.alpnProtocol !== 'h2') {
    socket.destroy();
    return undefined;
  }
  socket.setKeepAlive(true, keepAliveDelay);
  const session = connect(origin, { createConnection: () => socket });
  // By default one answer that nobody reads at the moment would hold up all others.
  session.once('connect', () => session.setLocalWindowSize(windowSize));
  // Each of its requests tells.
  session.on('error', () => {});
  return { session, open: 0, isFormer: false };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** The latest connection to a server; a new one where authority or certificate are others by now. */
function latestTo(url: URL, tls: Tls): Made {
  const last = latest.get(url.origin);
  if (last?.of === tls.of) return last;
  last?.shared.then((shared) => shared && retire(shared)).catch(() => {});
  const made: Made = { of: tls.of, shared: make(url, tls) };
  latest.set(url.origin, made);
  made.shared.catch(() => forget(url, made));
  return made;
}

function forget({ origin }: URL, made: Made): void {
  if (latest.get(origin) === made) latest.delete(origin);
}

function retire(shared: Shared): void {
  shared.isFormer = true;
  if (shared.open === 0) shared.session.close();
}

/** Where the other side is gone without a word, the system may take a quarter of an hour to notice. */
function probe(session: ClientHttp2Session): void {
  if (session.destroyed) return;
  let answered = false;
  session.ping(() => {
    answered = true;
  });
  setTimeout(() => answered || session.destroy(), pongTime).unref();
}

/** Of a connection that was cut the stream says nothing: it just does not come to its end. */
async function* whole(stream: ClientHttp2Stream): AsyncGenerator<Buffer> {
  yield* stream;
  if (!stream.readableEnded) throw new Error('connection closed');
}

function answerOf(stream: ClientHttp2Stream): Promise<Answered> {
  return new Promise((resolve, reject) => {
    stream.once('response', ({ ':status': status = 0, 'retry-after': retryAfter }) =>
      resolve({ status, retryAfter, body: whole(stream) }),
    );
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('connection closed')));
  });
}

function ask(
  shared: Shared,
  { pathname, search }: URL,
  { method, headers, body, signal }: Sent,
): ClientHttp2Stream {
  const { session } = shared;
  const stream = session.request(
    { ...headers, ':method': method, ':path': pathname + search },
    { endStream: body === undefined, signal },
  );
  shared.open += 1;
  stream.once('close', () => {
    shared.open -= 1;
    if (signal.aborted) probe(session);
    if (shared.isFormer) retire(shared);
  });
  if (body !== undefined) stream.end(body);
  return stream;
}

/** Asks over the one connection to the server; undefined where that one speaks HTTP/1.1 alone. */
export async function sendShared(url: URL, tls: Tls, sent: Sent): Promise<Answered | undefined> {
  for (;;) {
    sent.signal.throwIfAborted();
    const made = latestTo(url, tls);
    const shared = await Promise.race([made.shared, aborted(sent.signal)]);
    if (shared === undefined) return undefined;
    const { session, open } = shared;
    if (!session.closed && !session.destroyed && open < mostOpen)
      return await answerOf(ask(shared, url, sent));
    forget(url, made);
    retire(shared);
  }
}
