/** Twice the input takes about twice the time: a review is answered whatever a pod holds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decide } from '../../src/admission/decide.ts';
import { processorTime } from '../processor-time.ts';
import { settingsFrom } from './pods.ts';
import { reviewOf } from './reviews.ts';

const settings = settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n');

const falco = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] };
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);
const mountsAt = (count: number, pathOf: (at: number) => string) =>
  numbers(count).map((at) => ({ name: `v${at}`, mountPath: pathOf(at) }));
const emptyDirs = (count: number) => numbers(count).map((at) => ({ name: `v${at}`, emptyDir: {} }));

/** Pods that grow with a number. */
const pods: Readonly<Record<string, (count: number) => object>> = {
  'mounts side by side': (count) => ({
    containers: [{ ...falco, volumeMounts: mountsAt(count, (at) => `/rules/${at}.yaml`) }],
    volumes: emptyDirs(count),
  }),
  'mounts that are left out': (count) => ({
    containers: [{ ...falco, volumeMounts: mountsAt(count, (at) => `/etc/falco/rules/${at}`) }],
    volumes: numbers(count).map((at) => ({ name: `v${at}`, secret: { secretName: 's' } })),
  }),
  'options that name paths, and mounts': (count) => ({
    containers: [
      {
        ...falco,
        args: [...falco.args, ...numbers(count).flatMap((at) => ['-o', `rules_files[]=/rules/${at}`])],
        volumeMounts: mountsAt(count, (at) => `/other/${at}`),
      },
    ],
    volumes: emptyDirs(count),
  }),
  'containers that may be Falco': (count) => ({
    containers: numbers(count).map((at) => ({ ...falco, name: `falco-${at}` })),
  }),
  'other containers that write': (count) => ({
    containers: [
      falco,
      ...numbers(count).map((at) => ({
        name: `x${at}`,
        image: 'x',
        volumeMounts: mountsAt(3, (n) => `/${n}`),
      })),
    ],
  }),
  variables: (count) => ({
    containers: [{ ...falco, env: numbers(count).map((at) => ({ name: `A${at}`, value: 'x' })) }],
  }),
};

function timeOf(object: unknown): number {
  const sources = { settings: () => settings, namespaceAnnotations: () => undefined };
  const review = reviewOf(object);
  assert.notEqual(decide(review, sources).reason.code, 'pod_too_large');
  return processorTime(() => decide(review, sources));
}

describe('the time of a review grows with the pod, not faster', () => {
  for (const [about, specOf] of Object.entries(pods)) {
    test(about, () => {
      const of = (count: number): number => timeOf({ kind: 'Pod', spec: specOf(count) });
      of(100);
      // As many as are read.
      const [small, large] = [of(150), of(2_400)];
      // Sixteen times the input; what grows with its square takes 256 times as long.
      assert.ok(large < 64 * small, `${small.toFixed(1)} ms, then ${large.toFixed(1)} ms`);
    });
  }
});
