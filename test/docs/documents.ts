import path from 'node:path';
import { reasonsTables } from '../../src/reasons/reference.ts';
import { settingsJsonSchema, settingsTable } from '../../src/settings/reference.ts';

const docs = path.join(import.meta.dirname, '../../docs');

const settings = `# Settings

One YAML file, \`federation.yaml\`. A key that is not here is an error. A file that breaks a rule is refused as a whole;
each problem is told with its line, the key's path, the value and the reason of the rule. \`settings.schema.json\`
beside this page is the same as a JSON Schema, for editors.

${settingsTable()}
## Characters

| what | allowed | because |
| --- | --- | --- |
| \`cluster\` | what a Kubernetes label's value may hold, 63 characters | it is written on every pod as the label \`falco-federation.io/cluster\` |
| keys of \`labels\` | letters, digits, \`_\` \`.\` \`-\` \`/\`; a letter or \`_\` first | Falco's \`append_output\` carries them |
| values of \`labels\` | no \`%\` \`$\` \`"\` \`'\` \`\` \` \`\` \`\\\` \`{\` \`}\`, and not empty | Falco, falcosidekick and Kubernetes read them as formats, templates and references |
| \`tags\` | letters, digits, \`-\`, \`_\` | falcosidekick splits at \`,\` and removes spaces; the tag filter of its UI escapes \`-\` only |

On a hub, with \`hub.through: falcosidekick\`, and where no hub is set, labels go through falcosidekick's fields, which
carry less:

| what | allowed | because |
| --- | --- | --- |
| keys of \`labels\` | letters, digits, \`_\`; no digit first, no \`__\` first | falcosidekick makes each a Prometheus label |
| | none of \`hostname rule priority priority_raw source k8s_ns_name k8s_pod_name\` | falcosidekick has Prometheus labels of these names and panics at start-up on a second one |
| values of \`labels\` | no \`,\` \`:\` and no spaces as well | falcosidekick splits its custom fields there and drops what does not fit, without a word |

## Annotations that override them

On a namespace or on a pod (the chart's \`podAnnotations\`); the pod's win. One that is not allowed is ignored, with a
warning; so is an unknown one.

| annotation | form | overrides |
| --- | --- | --- |
| \`falco-federation.io/cluster\` | \`name\` | \`cluster\`, and labels and tags unless the settings spell them out |
| \`falco-federation.io/labels\` | \`key=value,key=value\` | \`labels\` |
| \`falco-federation.io/tags\` | \`a,b\` | \`tags\` |

The pod label \`falco-federation.io/inject: disabled\` (the chart's \`podLabels\`) leaves a workload alone.
`;

const reasons = `# Reasons

Every outcome has a code. The webhook's log and audit annotations, the warnings that \`kubectl\` and \`helm\` print, the
report of \`falco-federation inject\` and the summary of \`tag-rules\` all use these.

${reasonsTables()}`;

/** The documents that come out of the code, and where they lie. */
export const documents: ReadonlyMap<string, string> = new Map([
  [path.join(docs, 'settings.md'), settings],
  [path.join(docs, 'reasons.md'), reasons],
  [path.join(docs, 'settings.schema.json'), `${JSON.stringify(settingsJsonSchema(), null, 2)}\n`],
]);
