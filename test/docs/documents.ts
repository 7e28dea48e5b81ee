import path from 'node:path';
import { chartFiles } from './chart.ts';
import { reasonsTables } from './reasons-tables.ts';
import { settingsJsonSchema, settingsTable } from './settings-reference.ts';
import { troubleshooting } from './troubleshooting.ts';

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

On a hub labels become falcosidekick's fields, which carry less:

| what | allowed | because |
| --- | --- | --- |
| keys of \`labels\` | letters, digits, \`_\`; no digit first, no \`__\` first | falcosidekick makes each a Prometheus label |
| | none of \`hostname rule priority priority_raw source k8s_ns_name k8s_pod_name\` | falcosidekick has Prometheus labels of these names and panics at start-up on a second one |
| values of \`labels\` | no \`,\` \`:\` and no spaces as well | falcosidekick splits its custom fields there and drops what does not fit, without a word |

## Annotations that override them

On a namespace or on a pod (the chart's \`podAnnotations\`); the pod's win. One that is not allowed is ignored, with a
warning that names it; so is an unknown one.

| annotation | form | overrides |
| --- | --- | --- |
| \`falco-federation.io/cluster\` | \`name\` | \`cluster\`, and labels and tags unless the settings spell them out |
| \`falco-federation.io/labels\` | \`key=value,key=value\` | \`labels\` |
| \`falco-federation.io/tags\` | \`a,b\` | \`tags\` |
| \`falco-federation.io/falco-version\` | \`0.44.1\` | what the image's tag says of Falco's version |

What Falco's arguments may hold depends on its version, which is read from the image's tag: \`0.44.1\`, \`v0.40.0-debian\`.
Say it by \`falco-version\` where the tag does not: images by digest alone, \`latest\`, images with numbers of their own.
Without it such a Falco is taken for 0.41 or later (\`falco_version_unknown\`; an older one then does not start), and a
company's number such as \`0.12.0\` for a Falco of that age (\`falco_too_old\`).

Where neither command nor args are written, the image's own command starts Falco, and args would replace it. They are
written out for upstream's images (\`falcosecurity/falco\` and its kin, behind any mirror that keeps the folder
\`falcosecurity\`) of the versions 0.40 to 0.44; otherwise Falco is left alone (\`falco_image_command_unknown\`) until you
write args, beginning with \`/usr/bin/falco\`.

## What is left alone

- The pod label \`falco-federation.io/inject: disabled\` leaves a workload alone: \`podLabels\` of the Falco chart for Falco,
  \`falcosidekick.podLabels\` for its falcosidekick.
- \`kube-system\` and the webhook's own namespace are never injected, whatever their labels: what the cluster needs to run,
  and the webhook itself, must start without it. Install Falco in a namespace of its own.
- A Falco that only checks or prints something (\`-V\`, \`-L\`, \`--version\`, …).
- GKE Autopilot admits privileged pods from an allowlist only, and a changed Falco pod is no longer on it: do not opt in
  there. Let falcosidekick alone be injected: \`podLabels\` with \`falco-federation.io/inject: disabled\` for Falco.
`;

const reasons = `# Reasons

Every outcome has a code. Who sees it:

| where | what |
| --- | --- |
| the pod's annotation \`falco-federation.io/status\` | of each pod changed: the codes of what was found, under \`findings\` |
| the webhook's log | each decision with its codes; an annotation of ours that is not allowed, with key and value |
| metrics | \`falco_federation_admission_decisions_total{reason}\`, \`…_findings_total{code}\` |
| the API server's audit log | the same codes as audit annotations |
| warnings that \`kubectl\` and \`helm\` print | only for what they create themselves: a bare pod, or a workload with \`injectAt: workload\`. Pods come from controllers, which print nothing: \`helm install\` says nothing of them |
| \`falco-federation inject\` | a line for each object that was changed or needs attention, on standard error |
| \`tag-rules\` | its summary: the containers' logs and termination messages |

${reasonsTables()}`;

/** The documents that come out of the code, and where they lie. */
export const documents: ReadonlyMap<string, string> = new Map([
  [path.join(docs, 'settings.md'), settings],
  [path.join(docs, 'reasons.md'), reasons],
  [path.join(docs, 'troubleshooting.md'), troubleshooting()],
  [path.join(docs, 'settings.schema.json'), `${JSON.stringify(settingsJsonSchema(), null, 2)}\n`],
  ...chartFiles,
]);
