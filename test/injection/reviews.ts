import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';

/** An AdmissionReview of the object's creation, as the API server would send it. */
export function reviewOf(object: unknown, operation = 'CREATE'): unknown {
  const { kind, metadata } = object as { kind: string; metadata?: { namespace?: string } };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '11111111-2222-4333-8444-555555555555',
      kind: { group: '', version: 'v1', kind },
      operation,
      namespace: metadata?.namespace ?? 'default',
      object,
      oldObject: null,
      dryRun: false,
    },
  };
}

/** Upstream's recorded data lies beside the repository, or where FEDERATION_UPSTREAM says. */
export const upstream =
  process.env.FEDERATION_UPSTREAM ?? path.join(import.meta.dirname, '../../../shared/upstream');

export interface RecordedReview {
  /** `falco-9.1.0-defaults/pod.falco.create.json` */
  readonly name: string;
  readonly text: string;
}

/** The recorded reviews; none, with a word about it, where upstream's data is not there. */
export function recordedReviews(t: TestContext): readonly RecordedReview[] {
  const folder = path.join(upstream, 'reviews');
  if (!existsSync(folder)) {
    t.diagnostic('left out: the recorded reviews are not here (FEDERATION_UPSTREAM names their folder)');
    return [];
  }
  return globSync('*/*.json', { cwd: folder })
    .sort()
    .map((name) => ({ name, text: readFileSync(path.join(folder, name), 'utf8') }));
}
