/**
 * A stand-in for the API server, as far as the webhook asks for namespaces and pods: 5,000 namespaces, of which 50 are
 * opted in and are what a label selector gives, with so many Falco pods in each. Watches stay open. In a process of its own,
 * so that its memory is not counted. Prints its port.
 *
 *     api-server.ts CERTIFICATE KEY SETTINGS PODS     0: pods may not be seen
 */
import { readFileSync } from 'node:fs';
import { createSecureServer, type Http2ServerResponse } from 'node:http2';
import { portOf } from '../port-of.ts';
import { type PodsOf, watchedPods } from './watched-pods.ts';

const [, , certificate = '', key = '', settings = '', count = '0'] = process.argv;
const podsInNamespace = Number(count);
const podsOf = podsInNamespace === 0 ? undefined : await watchedPods(settings, podsInNamespace);
const namespaces = Array.from({ length: 5_000 }, (_, at) => ({
  metadata: {
    name: `namespace-${at}`,
    resourceVersion: String(at + 1),
    ...(at % 100 === 0
      ? {
          labels: { 'falco-federation.io/inject': 'enabled' },
          annotations: { 'falco-federation.io/tags': `tag-${at}`, 'example.org/notes': 'x'.repeat(200) },
        }
      : {}),
  },
}));

const isWatch = (query: URLSearchParams): boolean =>
  query.get('watch') !== null && query.get('watch') !== 'false';

function answerPods(
  namespace: string,
  query: URLSearchParams,
  response: Http2ServerResponse,
  pods: PodsOf | undefined,
): void {
  if (pods === undefined) {
    response.writeHead(403).end('{"reason":"Forbidden"}');
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  if (isWatch(query)) {
    response.write('\n');
    return;
  }
  const from = Number(query.get('continue') ?? 0);
  const to = from + Number(query.get('limit') ?? podsInNamespace);
  const next = to < podsInNamespace ? { continue: String(to) } : {};
  const metadata = { resourceVersion: '5001', ...next };
  response.end(
    JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata, items: pods(namespace, from, to) }),
  );
}

// By HTTP/2, as the real one.
const server = createSecureServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://localhost');
    const [, ofPods] = /^\/api\/v1\/namespaces\/([^/]+)\/pods$/.exec(pathname) ?? [];
    if (ofPods !== undefined) {
      answerPods(ofPods, searchParams, response, podsOf);
      return;
    }
    if (pathname !== '/api/v1/namespaces') {
      response.writeHead(404).end('{}');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    if (isWatch(searchParams)) {
      response.write('\n');
      return;
    }
    const selected =
      searchParams.get('labelSelector') === null
        ? namespaces
        : namespaces.filter(({ metadata }) => metadata.labels);
    response.end(
      JSON.stringify({
        ...{ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' },
        ...{ metadata: { resourceVersion: '5001' }, items: selected },
      }),
    );
  },
);
server.listen(0, '127.0.0.1', () => {
  console.log(`port ${portOf(server)}`);
});
