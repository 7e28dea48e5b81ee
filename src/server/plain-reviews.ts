import type { IncomingMessage, RequestListener } from 'node:http';
import type { HttpAnswer } from './answer.ts';

/** Where a request is what the API server sends: JSON of a length told in advance, within the limit. */
function isPlain({ method, url = '', headers }: IncomingMessage, bodyLimit: number): boolean {
  return (
    method === 'POST' &&
    // The API server adds `?timeout=5s`.
    (url === '/mutate' || url.startsWith('/mutate?')) &&
    headers['content-type'] === 'application/json' &&
    Number(headers['content-length']) <= bodyLimit
  );
}

export interface PlainReviews {
  /** Bytes. */
  readonly bodyLimit: number;
  readonly answer: (body: string) => HttpAnswer;
  readonly isDraining: () => boolean;
  /** @param seconds since the request's head was there */
  readonly answered: (seconds: number) => void;
}

/**
 * A listener that answers the plain `POST /mutate` itself and leaves all other requests to the framework, whose route
 * gives the same answers.
 *
 * On the hot path of admission: the framework's request, reply, hooks and parsers take as much time as the decision.
 * The tests hold both ways against each other.
 */
export function plainReviewsFirst(
  { bodyLimit, answer, isDraining, answered }: PlainReviews,
  others: RequestListener,
): RequestListener {
  return (request, response) => {
    if (!isPlain(request, bodyLimit)) return others(request, response);
    const start = performance.now();
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { status, body } = answer(Buffer.concat(chunks).toString());
      // As bytes: a text would be encoded a second time when it is written.
      const bytes = Buffer.from(body);
      response.writeHead(status, {
        'content-type': 'application/json; charset=utf-8',
        'content-length': bytes.length,
        ...(isDraining() ? { connection: 'close' } : {}),
      });
      response.end(bytes);
      answered((performance.now() - start) / 1000);
    });
  };
}
