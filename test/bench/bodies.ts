/** The reviews that are sent: upstream's recorded ones where they are, else the repository's own. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fastJsonPatch from 'fast-json-patch';
import { reviewOf, upstream } from '../injection/reviews.ts';
import { callOnce } from './load.ts';
import { root } from './webhook.ts';

export interface Body {
  readonly name: string;
  readonly body: string;
}

const recordedFolder = join(upstream, 'reviews/falco-9.1.0-spoke-webhook');
const recorded = (name: string): string => join(recordedFolder, name);

/** A review of a Falco pod. */
export const recordedPod = recorded('pod.falco.create.json');

/** Whether upstream's recorded reviews are here. */
export const areRecorded: boolean = existsSync(recordedPod);

const unrelated = {
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'falco', labels: { app: 'web' } } },
  spec: { containers: [{ name: 'web', image: 'example.org/web:1', ports: [{ containerPort: 80 }] }] },
};
const falcosidekick = {
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: {
    name: 'falcosidekick',
    namespace: 'falco',
    labels: { 'app.kubernetes.io/name': 'falcosidekick' },
  },
  spec: {
    containers: [
      {
        ...{ name: 'falcosidekick', image: 'falcosecurity/falcosidekick:2.32.0' },
        env: [{ name: 'CUSTOMTAGS', value: '' }],
      },
    ],
  },
};

/** @param port of a webhook, which says what an injected pod is */
export async function bodies(port: number, ca: string): Promise<readonly [Body, ...Body[]]> {
  const falco = readFileSync(
    areRecorded ? recorded('pod.falco.create.json') : join(root, 'docs/examples/review.json'),
    'utf8',
  );
  const sidekick = areRecorded
    ? readFileSync(recorded('pod.falco-falcosidekick-7f457bb958.create.json'), 'utf8')
    : JSON.stringify(reviewOf(falcosidekick));
  return [
    { name: 'Falco pod, patched', body: falco },
    { name: 'falcosidekick pod, patched', body: sidekick },
    { name: 'unrelated pod', body: JSON.stringify(reviewOf(unrelated)) },
    { name: 'Falco pod, injected before', body: await injected({ port, ca, body: falco }) },
  ];
}

async function injected(called: Parameters<typeof callOnce>[0]): Promise<string> {
  const review = JSON.parse(called.body);
  const { response } = JSON.parse(await callOnce(called));
  const operations = JSON.parse(Buffer.from(response.patch, 'base64').toString());
  review.request.object = fastJsonPatch.applyPatch(review.request.object, operations).newDocument;
  return JSON.stringify(review);
}
