/** A webhook that allows everything and remembers what it was asked about. */
import { createServer } from 'node:https';
import { json } from 'node:stream/consumers';
import { makeServingCertificate } from '../../../src/certificates/self-signed.ts';

export interface ReviewRecorder {
  /** PEM. */
  readonly ca: string;
  /** Kind and name of every object that reached it since the last call, sorted. */
  readonly take: () => readonly string[];
  readonly close: () => void;
}

/** Serves at an address as `name`. Rejects where the address cannot be listened on. */
export async function startReviewRecorder(name: string, host: string, port: number): Promise<ReviewRecorder> {
  const { ca, certificate, key } = await makeServingCertificate([name], 86_400_000);
  let reached: string[] = [];
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    // Safe: only the API server calls.
    const { request: asked } = (await json(request)) as {
      request: { uid: string; kind: { kind: string }; object: { metadata: { name: string } } };
    };
    reached.push(`${asked.kind.kind} ${asked.object.metadata.name}`);
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid: asked.uid, allowed: true },
      }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    ca,
    take: () => {
      const taken = reached.toSorted();
      reached = [];
      return taken;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
