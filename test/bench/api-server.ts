/**
 * A stand-in for the API server, as far as the webhook asks for namespaces: 5,000 of them, of which 50 are opted in and
 * are what a label selector gives. The watch stays open. In a process of its own, so that its memory is not counted.
 * Prints its port.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [, , certificate = '', key = ''] = process.argv;
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

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://localhost');
    if (pathname !== '/api/v1/namespaces') {
      response.writeHead(404).end('{}');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    if (searchParams.get('watch') !== null && searchParams.get('watch') !== 'false') {
      response.flushHeaders();
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
  const address = server.address();
  console.log(`port ${typeof address === 'object' && address !== null ? address.port : 0}`);
});
