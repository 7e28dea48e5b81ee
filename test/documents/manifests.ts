/** Manifests with Falco as people and tools write them, and as nobody does. */
import fc from 'fast-check';

/** Numbers and words whose spelling or YAML 1.1 meaning is easily lost. */
const oddScalars = fc.constantFrom(
  '0644',
  '0400',
  '1.5e+9',
  '.5',
  '0x1F',
  '9223372036854775807',
  '1_000',
  '0b11',
  'yes',
  'off',
  '~',
  '12:30:45',
  '2024-01-01',
  "'no'",
  '"0644"',
  '"tab\\tand \\u00e9"',
  '!!str 0644',
  '1.10',
  '-0',
  '"{{ .x }}, #"',
);

/** Texts for settings: each a valid name of a cluster, and something else for some reader of YAML. */
export const wordsOfYaml = [
  'no',
  'on',
  'y',
  'Yes',
  'null',
  '0b11',
  '0x1F',
  '1_000',
  '2024-01-01',
  '0644',
  '1e3',
  '12',
];

interface Style {
  readonly eol: string;
  /** Whether lists stand deeper than their key. */
  readonly deep: boolean;
  readonly comments: boolean;
}

const styles: fc.Arbitrary<Style> = fc.record({
  eol: fc.constantFrom('\n', '\r\n', '\r'),
  deep: fc.boolean(),
  comments: fc.boolean(),
});

/** One way to write a part of a container, with `I` for the indentation of its key and `L` for that of a list. */
const argsForms = fc.constantFrom(
  'args: [/usr/bin/falco]',
  'args: [ /usr/bin/falco , -U ] # why',
  'args: [/usr/bin/falco, "-U",]',
  'args: ["/usr/bin/falco",\nI  # in between\nI  "-U"\nI  ]',
  'args: [\nI    /usr/bin/falco, # first\nI    -U # last\nI  ]',
  'args:\nL- /usr/bin/falco # first\nL# - commented out\nL- -U\n\n',
  'args:\nL- /usr/bin/falco\nL- |+\nL  -U\n\n',
  'args:\nL- /usr/bin/falco\nL- >-\nL  -U\n',
  'args: &args [/usr/bin/falco]',
  'args: &args\nL- /usr/bin/falco',
  'args: !!seq [!!str /usr/bin/falco]',
  'args: [/bin/false]\nIargs: [/usr/bin/falco]',
  '"args": [\'/usr/bin/falco\']',
  'args:\nL-   /usr/bin/falco\nL-   "one\nL      text"',
);

const envForms = fc.constantFrom(
  '',
  'env:',
  'env: [] # none',
  'env: ~',
  'env: &env\nL- name: A\nL  value: "0644"',
  'env:\nL- {name: A, value: "x"} # one\nL-\nL  name: B\n',
  'env: [{name: A, value: "a\n\nL  b"}, {name: B}]',
);

const mountForms = fc.constantFrom(
  '',
  'volumeMounts: # below',
  'volumeMounts: []',
  'volumeMounts: null',
  'volumeMounts: [{name: rules, mountPath: /etc/falco/rules.d}]',
  'volumeMounts:\nL- name: rules\nL  mountPath: /etc/falco/rules.d # here',
  'volumeMounts:\nL- {mountPath: /etc/falco/rules.d, name: rules}\n\n',
);

const volumeForms = fc.constantFrom(
  '',
  'volumes:',
  'volumes: []',
  'volumes: [{name: rules, configMap: {name: r, defaultMode: 0644}}]',
  'volumes:\nL- name: rules\nL  secret: {secretName: s, defaultMode: 0400}\nL# the end',
  'volumes: [\nI  {name: rules, emptyDir: {}},\nI ]',
  'volumes: [{name: old}]\nIvolumes: [{name: rules, emptyDir: {}}]',
);

const metadataForms = fc.constantFrom(
  'metadata: {name: f, labels: {app: falco}}',
  'metadata: {name: f, labels: , annotations: {}}',
  'metadata:\nI  labels: # none\nI  annotations: ~\nI  name: f',
  'metadata:\nI  name: f\nI  annotations:\nI    folded: >\nI      a\nI\nI      b\nI    literal: |2\nI        c\n',
  'metadata:\nI  annotations: {"checksum/config": "0644", x: "two\nI    lines"}\nI  name: f # its name',
  'metadata:\nI  name: f\nI  labels: &labels\nI    app: falco\nI    app: falco\n',
);

/** What else may stand in a spec: an alias of what the container has, odd numbers, words. */
const otherForms = fc.oneof(
  fc.constantFrom('', '# nothing', 'affinity: {}', 'x-shared: {<<: &base {a: 0644}, b: .5}'),
  oddScalars.map((scalar) => `x-odd: ${scalar} # as it is`),
  fc.tuple(oddScalars, oddScalars).map(([a, b]) => `x-odd:\nI  first: ${a}\nI  second: [${b}, {k: ${b}}]`),
  fc.tuple(oddScalars, oddScalars).map(([a, b]) => `x-odd: {a: ${a},\nI  b: ${b}}`),
);

/** The lines of a form at an indentation. */
function at(form: string, indent: number, { deep }: Style): string[] {
  if (form === '') return [];
  const inner = ' '.repeat(indent);
  const list = ' '.repeat(deep ? indent + 2 : indent);
  return form.split('\n').map((line, nth) => {
    if (nth === 0) return inner + line;
    return line.replace(/^I/, inner).replace(/^L/, list);
  });
}

export const manifests: fc.Arbitrary<string> = fc
  .record({
    style: styles,
    metadata: metadataForms,
    args: argsForms,
    env: envForms,
    mounts: mountForms,
    volumes: volumeForms,
    others: fc.array(otherForms, { maxLength: 1 }),
    workload: fc.boolean(),
    neighbour: fc.boolean(),
    start: fc.constantFrom('', '---', '--- # first', '# a comment\n---'),
    end: fc.constantFrom('', '...', '# the end', 'status: {}'),
    cut: fc.boolean(),
  })
  .map(({ style, metadata, args, env, mounts, volumes, others, workload, neighbour, start, end, cut }) => {
    const base = workload ? 4 : 0;
    const pad = ' '.repeat(base);
    const dash = ' '.repeat(base + (style.deep ? 4 : 2));
    const inner = base + (style.deep ? 6 : 4);
    // An alias of the container's anchors, where it has any.
    const shared = [args.includes('&args') ? 'args: *args' : '', env.includes('&env') ? 'env: *env' : ''];
    const container = [
      ...[`${dash}- name: falco`, `${dash}  image: docker.io/falcosecurity/falco:0.44.1`],
      ...[args, env, mounts].flatMap((form) => at(form, inner, style)),
      ...(style.comments ? [`${dash}  # about the next one`] : []),
      ...(neighbour
        ? [
            `${dash}- name: web`,
            ...shared.flatMap((form) => at(form.replace('args:', 'x-args:'), inner, style)),
          ]
        : []),
    ];
    const template = [
      ...at(metadata, base, style),
      `${pad}spec:`,
      ...at(volumes, base + 2, style),
      `${pad}  containers:`,
      ...container,
      ...others.flatMap((form) => at(form, base + 2, style)),
    ];
    const lines = workload
      ? [
          'apiVersion: apps/v1',
          'kind: DaemonSet',
          'metadata: {name: falco}',
          'spec:',
          '  template:',
          ...template,
        ]
      : ['apiVersion: v1', 'kind: Pod', ...template];
    const all = [...(start === '' ? [] : [start]), ...lines, ...(end === '' ? [] : [end])].join('\n');
    return (cut ? all : `${all}\n`).replaceAll('\n', style.eol);
  });
