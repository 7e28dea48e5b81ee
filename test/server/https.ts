import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { json } from 'node:stream/consumers';

/** The fields that answers of the webhook have, of one kind or the other. */
export interface AnswerBody {
  readonly apiVersion: string;
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch?: string;
    readonly patchType?: string;
    readonly warnings?: readonly string[];
    readonly auditAnnotations: Readonly<Record<string, string>>;
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AnswerBody;
}

/** Posts as the API server does: HTTPS, the CA that it was given, JSON. */
export function post(
  port: number,
  ca: string,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
  client: Pick<RequestOptions, 'cert' | 'key'> = {},
): Promise<Answer> {
  // An agent of its own: a connection of a call before would not show which certificate is served now.
  const agent = new Agent({ keepAlive: true });
  return new Promise<Answer>((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        path,
        ca,
        ...client,
        servername: 'localhost',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (incoming) => {
        json(incoming).then(
          (answer) =>
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: answer as AnswerBody,
            }),
          reject,
        );
      },
    );
    // A server that refuses a body early may close before all of it is sent; its answer is what counts.
    outgoing.on('error', reject);
    outgoing.end(body);
  }).finally(() => agent.destroy());
}
