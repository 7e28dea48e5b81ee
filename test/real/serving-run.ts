/** The webhook itself in its image: read-only, as user 65532, its settings from a ConfigMap. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import type { BuiltImage } from './built-image.ts';
import { whileRunning } from './container.ts';
import { freePorts } from './free-ports.ts';
import { scratchFolder } from './places.ts';
import { containerOf, injectionOf, type RecordedPod } from './recorded-pods.ts';
import { makeVolumes } from './volumes.ts';

/**
 * Serves from the image, sends a recorded review as the API server would, and stops with SIGTERM. Throws unless the
 * patch is the one that `inject` makes from the source, and the program ends by itself with status 0.
 */
export async function serveInImage(
  image: BuiltImage,
  recorded: RecordedPod,
  settings: string,
): Promise<void> {
  const folder = scratchFolder('volumes-');
  const [port = 0, healthPort = 0] = await freePorts(2);
  const made = await makeServingCertificate(['localhost'], 86_400_000);
  const pod = webhookPod(port, healthPort);
  try {
    const configMap = {
      metadata: { name: 'settings' },
      data: { 'federation.yaml': readFileSync(settings, 'utf8') },
    };
    const volumes = makeVolumes(pod, [configMap], folder);
    writeFileSync(join(folder, 'tls/tls.crt'), made.certificate);
    writeFileSync(join(folder, 'tls/tls.key'), made.key);
    const ended = await whileRunning(
      { image, pod, volumes },
      containerOf(pod, 'webhook'),
      async ({ stop }) => {
        await untilReady(`http://127.0.0.1:${healthPort}/readyz`);
        const answer: unknown = JSON.parse(await post(port, made.ca, readFileSync(recorded.review, 'utf8')));
        const fromSource: unknown = JSON.parse(injectionOf(recorded, settings).answer);
        assert.deepEqual(patchIn(answer), patchIn(fromSource));
        stop();
      },
    );
    assert.equal(ended.status, 0, `after SIGTERM: exit ${ended.status}\n${ended.stdout}${ended.stderr}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function webhookPod(port: number, healthPort: number): V1Pod {
  return {
    metadata: { name: 'falco-federation-webhook' },
    spec: {
      securityContext: { runAsNonRoot: true },
      containers: [
        {
          name: 'webhook',
          args: [
            ...['serve', '--settings', '/etc/falco-federation/federation.yaml', '--host', '127.0.0.1'],
            ...[
              '--tls-cert',
              '/etc/falco-federation-tls/tls.crt',
              '--tls-key',
              '/etc/falco-federation-tls/tls.key',
            ],
            ...['--port', String(port), '--health-port', String(healthPort)],
          ],
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'settings', mountPath: '/etc/falco-federation' },
            { name: 'tls', mountPath: '/etc/falco-federation-tls', readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: 'settings', configMap: { name: 'settings' } },
        { name: 'tls', secret: { secretName: 'tls' } },
      ],
    },
  };
}

async function untilReady(address: string): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const ready = await fetch(address).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    if (performance.now() > end) throw new Error(`${address} is not ready after 30 s`);
    await wait(50);
  }
}

function post(port: number, ca: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: '127.0.0.1', servername: 'localhost', port, path: '/mutate', method: 'POST', ca, agent: false },
      (response) => text(response).then(resolve, reject),
    );
    call.on('error', reject);
    call.setHeader('Content-Type', 'application/json');
    call.end(body);
  });
}

function patchIn(answer: unknown): unknown {
  // Safe: an AdmissionReview's answer has this shape, and the comparison fails where it has not.
  const { patch } = (answer as { response: { patch?: string } }).response;
  return JSON.parse(Buffer.from(patch ?? '', 'base64').toString('utf8'));
}
