/** Another mutating webhook, as a service mesh has one: it adds a container and a volume to every pod. */
import { createServer } from 'node:https';
import { json } from 'node:stream/consumers';
import type { V1Pod } from '@kubernetes/client-node';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { listenOnAll, portOf } from '../../src/server/listen.ts';
import { plainServer } from '../../src/server/plain-server.ts';

export interface SecondWebhook {
  /** The configuration to apply; its name puts it behind ours, so that ours is called again. */
  readonly configuration: object;
  readonly calls: () => number;
  readonly close: () => Promise<void>;
}

export async function startSecondWebhook(namespace: string): Promise<SecondWebhook> {
  const { ca, certificate, key } = await makeServingCertificate(['localhost'], 1);
  let calls = 0;
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    // Safe: only the API server calls, about pods only.
    const { uid, object } = ((await json(request)) as { request: { uid: string; object: V1Pod } }).request;
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
    const answer = {
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
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  const listener = { server: plainServer(server), host: '127.0.0.1', port: 0, flag: '' };
  await listenOnAll([listener]);
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
            url: `https://localhost:${portOf(listener)}/add`,
            caBundle: Buffer.from(ca).toString('base64'),
          },
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
        },
      ],
    },
    calls: () => calls,
    close: async () => void (await listener.server.close()),
  };
}
