import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import fc from 'fast-check';
import { parse } from 'yaml';

/** A pod, and what it is taken for: recognised.yaml says in which words. */
export interface RecognisedPod {
  readonly about: string;
  readonly containers: V1Container[];
  readonly is: string;
}

export const recognisedPods: readonly RecognisedPod[] = parse(
  readFileSync(path.join(import.meta.dirname, 'recognised.yaml'), 'utf8'),
);

/** Words that programs look at, and others near them. */
const words = fc.constantFrom(
  ...['falco', '/usr/bin/falco', '/falco', './falco', '/etc/falco', 'daemonset/falco', 'falco/', 'falcoctl'],
  ...[
    'tini',
    '/usr/bin/env',
    'nice',
    '/docker-entrypoint.sh',
    'docker-entrypoint.sh',
    'start.sh',
    'entrypoint',
  ],
  ...[
    'sh',
    '/bin/bash',
    '-c',
    '--',
    '-n',
    '5',
    'A=b',
    'SIGTERM',
    '',
    '-U',
    '-V',
    '--version',
    '-',
    'a\nfalco',
  ],
  ...['exec falco', 'exec /usr/bin/falco "$@"', 'cp /etc/falco/x /y', 'echo `falco`', "sh -c 'falco'"],
);

function unique(containers: readonly V1Container[]): V1Container[] {
  return containers.map((container, at) =>
    containers.findIndex((one) => one.name === container.name) === at
      ? container
      : { ...container, name: `${container.name}-${at}` },
  );
}

/** Pods whose containers show any of the signs of Falco and falcosidekick, or nearly. */
export const generatedPods: fc.Arbitrary<V1PodSpec> = fc
  .array(
    fc.record(
      {
        name: fc.constantFrom('falco', 'falcosidekick', 'app', 'app-2', 'falcoctl-artifact-follow'),
        image: fc
          .tuple(
            fc.constantFrom('', 'a/', 'registry.example:5000/falco/'),
            fc.constantFrom('falco', 'falco-no-driver', 'falcosidekick', 'falcosidekick-ui', 'app', 'app-3'),
            fc.constantFrom('', ':1', `@sha256:${'0'.repeat(64)}`, `:falco@sha256:${'0'.repeat(64)}`),
          )
          .map((parts) => parts.join('')),
        command: fc.array(words, { maxLength: 4 }),
        args: fc.array(words, { maxLength: 4 }),
      },
      { requiredKeys: ['name', 'image'] },
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((containers) => ({ containers: unique(containers) }));
