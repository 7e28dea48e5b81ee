/** Another mutating webhook, as a service mesh has one: it adds a container and a volume to every pod. */
import type { AddressInfo } from 'node:net';
import type { V1Pod } from '@kubernetes/client-node';
import Fastify from 'fastify';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';

export interface SecondWebhook {
  /** The configuration to apply; its name puts it behind ours, so that ours is called again. */
  readonly configuration: object;
  readonly calls: () => number;
  readonly close: () => Promise<void>;
}

export async function startSecondWebhook(namespace: string): Promise<SecondWebhook> {
  const { ca, certificate, key } = await makeServingCertificate(['localhost'], 1);
  let calls = 0;
  const server = Fastify({ https: { cert: certificate, key }, bodyLimit: 7 * 1024 * 1024 });
  server.post('/add', async (request) => {
    // Safe: only the API server calls, about pods only.
    const { uid, object } = (request.body as { request: { uid: string; object: V1Pod } }).request;
    calls += 1;
    const isThere = object.spec?.containers.some(({ name }) => name === 'mesh-proxy') ?? false;
    const patch = [
      ...(object.spec?.volumes === undefined ? [{ op: 'add', path: '/spec/volumes', value: [] }] : []),
      { op: 'add', path: '/spec/volumes/0', value: { name: 'mesh-socket', emptyDir: {} } },
      {
        op: 'add',
        path: '/spec/containers/0',
        value: {
          name: 'mesh-proxy',
          image: 'mesh-proxy:1',
          volumeMounts: [{ name: 'mesh-socket', mountPath: '/run/mesh' }],
        },
      },
    ];
    return {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid,
        allowed: true,
        ...(isThere
          ? {}
          : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      },
    };
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.server.address() as AddressInfo;
  return {
    configuration: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'mesh-proxy-injector' },
      webhooks: [
        {
          name: 'mesh.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
          reinvocationPolicy: 'IfNeeded',
          clientConfig: {
            url: `https://localhost:${port}/add`,
            caBundle: Buffer.from(ca).toString('base64'),
          },
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
        },
      ],
    },
    calls: () => calls,
    close: () => server.close(),
  };
}
