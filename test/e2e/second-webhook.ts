/** Another mutating webhook: as a service mesh has one, or one that does something else to every pod. */
import type { V1Pod } from '@kubernetes/client-node';
import Fastify from 'fastify';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { portOf } from '../port-of.ts';

export interface SecondWebhook {
  /** The configuration to apply; its name puts it behind ours, so that ours is called again. */
  readonly configuration: object;
  readonly calls: () => number;
  readonly close: () => Promise<void>;
}

/** A container and a volume in front of all others. */
function addProxy({ spec }: V1Pod): readonly object[] {
  if (spec?.containers.some(({ name }) => name === 'mesh-proxy')) return [];
  const container = {
    name: 'mesh-proxy',
    image: 'mesh-proxy:1',
    volumeMounts: [{ name: 'mesh-socket', mountPath: '/run/mesh' }],
  };
  return [
    ...(spec?.volumes === undefined ? [{ op: 'add', path: '/spec/volumes', value: [] }] : []),
    { op: 'add', path: '/spec/volumes/0', value: { name: 'mesh-socket', emptyDir: {} } },
    { op: 'add', path: '/spec/containers/0', value: container },
  ];
}

/** @param patchFor what it does to a pod, as JSON Patch */
export async function startSecondWebhook(
  namespace: string,
  patchFor: (pod: V1Pod) => readonly object[] = addProxy,
): Promise<SecondWebhook> {
  const { ca, certificate, key } = await makeServingCertificate(['localhost'], 86_400_000);
  let calls = 0;
  const server = Fastify({ https: { cert: certificate, key }, bodyLimit: 7 * 1024 * 1024 });
  server.post('/add', async (request) => {
    // Safe: only the API server calls, about pods only.
    const { uid, object } = (request.body as { request: { uid: string; object: V1Pod } }).request;
    calls += 1;
    const patch = patchFor(object);
    return {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid,
        allowed: true,
        ...(patch.length === 0
          ? {}
          : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      },
    };
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const port = portOf(server.server);
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
