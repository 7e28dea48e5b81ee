/**
 * A stand-in for the API server of a peer: every list has the one namespace `falco` or nothing, by list or by a watch
 * that begins as one, and nothing ever changes. Prints its port.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { portOf } from '../port-of.ts';

const [, , certificate = '', key = ''] = process.argv;

/** What client-go takes: the type it asked for, or metadata of any. */
const typed = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration' };
const metadataOnly = { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata' };

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://localhost');
    const type = request.headers.accept?.includes('as=PartialObjectMetadata') === true ? metadataOnly : typed;
    const items =
      pathname === '/api/v1/namespaces'
        ? [{ ...type, metadata: { name: 'falco', resourceVersion: '1' } }]
        : [];
    response.writeHead(200, { 'content-type': 'application/json' });
    if (searchParams.get('watch') === null) {
      response.end(
        JSON.stringify({ ...type, kind: `${type.kind}List`, metadata: { resourceVersion: '1' }, items }),
      );
      return;
    }
    response.flushHeaders();
    if (searchParams.get('sendInitialEvents') !== 'true') return;
    const end = {
      ...type,
      metadata: { resourceVersion: '1', annotations: { 'k8s.io/initial-events-end': 'true' } },
    };
    const events = [...items.map((object) => ({ type: 'ADDED', object })), { type: 'BOOKMARK', object: end }];
    response.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  },
);
server.listen(0, '127.0.0.1', () => {
  console.log(`port ${portOf(server)}`);
});
