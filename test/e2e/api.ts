/** Plain calls to the API server: what is needed to create many pods and to look at one object. */
import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';

export interface ApiAnswer {
  readonly status: number;
  // The API server's JSON; who asks knows the kind. Checked by what the tests assert on it.
  readonly body: unknown;
  /** Milliseconds. */
  readonly took: number;
}

export interface Api {
  /** Rejects when the API server cannot be reached; any answer resolves. */
  readonly call: (
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    contentType?: string,
  ) => Promise<ApiAnswer>;
  readonly close: () => void;
}

export interface ApiAccess {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

export function api({ url, ca, token }: ApiAccess): Api {
  const agent = new Agent({ keepAlive: true, ca });
  return {
    call: (method, path, body, contentType = 'application/json') =>
      new Promise((resolve, reject) => {
        const from = performance.now();
        const payload = body === undefined ? undefined : JSON.stringify(body);
        const outgoing = request(
          new URL(path, url),
          {
            agent,
            method,
            timeout: 30_000,
            headers: {
              authorization: `Bearer ${token}`,
              ...(payload === undefined
                ? {}
                : { 'content-type': contentType, 'content-length': Buffer.byteLength(payload) }),
            },
          },
          (incoming) => {
            text(incoming).then((said) => {
              const took = performance.now() - from;
              try {
                resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(said), took });
              } catch {
                resolve({ status: incoming.statusCode ?? 0, body: said, took });
              }
            }, reject);
          },
        );
        outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer in 30 s`)));
        outgoing.on('error', reject);
        outgoing.end(payload);
      }),
    close: () => agent.destroy(),
  };
}
