import * as z from 'zod';

/**
 * The one schema of `federation.yaml`. Validation, the `Settings` type, docs/settings.schema.json and the
 * reference table in docs/settings.md all come from here; run `npm run docs` after changing it.
 *
 * Each rule's message says what is allowed and why the rule exists; the loader adds the key's path, its line
 * and the offending value.
 */

/** falcosidekick's own Prometheus labels: a custom field of that name makes it panic at start-up (FACTS 3.4). */
export const reservedLabelKeys = [
  'hostname',
  'rule',
  'priority',
  'priority_raw',
  'source',
  'k8s_ns_name',
  'k8s_pod_name',
] as const;

/** falcosidekick's priorities, as WEBHOOK_MINIMUMPRIORITY spells them. */
export const priorities = [
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'informational',
  'debug',
] as const;

const clusterName = z
  .string()
  .max(63, 'must have 63 characters at most: it becomes the value of a pod label')
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/,
    'must be made of letters, digits, "-", "_" and ".", and begin and end with a letter or digit: it becomes the value of a pod label',
  );

export const labelKey = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    'a label key must be made of letters, digits and "_", and not begin with a digit: falcosidekick makes it a Prometheus label',
  )
  .regex(/^(?!__)/, 'a label key must not begin with "__": Prometheus keeps such labels for itself')
  .regex(
    new RegExp(`^(?!(?:${reservedLabelKeys.join('|')})$)`),
    `a label key must not be one of ${reservedLabelKeys.join(', ')}: falcosidekick has Prometheus labels of these names and panics at start-up when a custom field repeats one`,
  );

export const labelValue = z
  .string('a label value must be text: put numbers and booleans in quotes')
  .min(1, 'a label value must not be empty: falcosidekick would drop the field')
  .regex(
    /^[^,:]*$/,
    'a label value must not hold "," or ":": falcosidekick splits its custom fields there and silently drops what does not fit',
  )
  .regex(/^\S*$/, 'a label value must not hold spaces: it would not survive falcosidekick and search fields')
  .regex(
    /^[^%$"'`\\{}\p{Cc}]*$/u,
    'a label value must not hold % $ " \' ` \\ { } or control characters: Falco, falcosidekick and Kubernetes read them as formats, templates and references',
  );

export const tag = z
  .string('a tag must be text: put numbers and booleans in quotes')
  .regex(
    /^[A-Za-z0-9_-]+$/,
    'a tag must be made of letters, digits, "-" and "_": falcosidekick splits tags at "," and removes spaces, and the tag filter of its UI escapes nothing but "-"',
  );

const quantity = z
  .string('a quantity must be text, as in "64Mi": put numbers in quotes')
  .regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$/, 'must be a Kubernetes quantity such as 10m, 0.5 or 64Mi');

const amounts = z.strictObject({ cpu: quantity.optional(), memory: quantity.optional() });

const resources = z.strictObject({ requests: amounts.optional(), limits: amounts.optional() });

const secretName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
    'must be the name of a Secret: lower-case letters, digits, "-" and "."',
  );

const address = z
  .string()
  .regex(
    /^https?:\/\/[^\s/@]+(\/\S*)?$/,
    'must be an http:// or https:// address without user and password: falcosidekick would log them; use headersSecret',
  )
  .regex(/^[^$]*$/, 'must not hold "$": Kubernetes expands $(NAME) in environment variables');

export const defaultImage = 'falco-federation-webhook:0.1.0';

const rules = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        "Tag every rule in Falco pods. When off, a spoke's falcosidekick adds the tags to its events instead (CUSTOMTAGS).",
      ),
    startup: z
      .enum(['init', 'alongside'])
      .default('init')
      .describe(
        '`init`: an init container tags the rules before Falco starts. `alongside`: a plain container does it while Falco already runs; nothing of ours can then hold Falco back, at the price of some seconds of untagged alerts. In pods that end (Jobs) always `init`.',
      ),
    inImage: z
      .enum(['copy', 'leave'])
      .default('copy')
      .describe(
        "Rules that lie in Falco's own image (falcoctl off). `copy`: an init container with that very image copies its /etc/falco for tagging; it runs a program of ours, so the image needs none. Whatever cannot be copied stays untagged, and Falco starts. `leave`: they stay untagged. With `startup: alongside` they are always left.",
      ),
    follow: z
      .boolean()
      .default(true)
      .describe(
        "Keep tagging while Falco runs, wherever something can bring new rules: any volume under Falco's rules but a subPath of a ConfigMap, Secret or projected volume, and an emptyDir that only Falco can write. Never in pods that end (Jobs).",
      ),
    onFailure: z
      .enum(['ignore', 'fail'])
      .default('ignore')
      .describe(
        'When none of the rules can be tagged: `ignore` lets Falco start with its own rules, `fail` keeps the pod from starting.',
      ),
    image: z
      .string()
      .regex(/^\S+$/, 'must be an image reference')
      .default(defaultImage)
      .describe('Image of the injected containers, of the same version as the webhook.'),
    resources: resources
      .default({
        requests: { cpu: '100m', memory: '64Mi' },
        limits: { cpu: '500m', memory: '256Mi' },
      })
      .describe(
        'Resources of the injected init containers. A pod asks for the larger of what its largest init container and all its containers together ask for, so up to what Falco asks for (the chart: 100m) the request costs nothing; with less, a busy node takes long to tag, and Falco waits. Keep both parts: quotas and limit ranges ask for them.',
      ),
    // Its launcher waits in a megabyte or two; the limit is for the moments in which Node tags.
    followResources: resources
      .default({
        requests: { cpu: '10m', memory: '16Mi' },
        limits: { cpu: '500m', memory: '256Mi' },
      })
      .describe(
        "Resources of the injected side container, which sleeps until rules change. Its request adds to the pod's; it decides how long new rules stay untagged on a busy node. Keep both parts here too.",
      ),
  })
  .describe('Rule tagging in Falco pods.');

const hub = z
  .strictObject({
    address: address.describe("Address of the hub cluster's falcosidekick."),
    checkCertificate: z
      .boolean()
      .default(true)
      .describe(
        "Check the hub's certificate. Without effect when clientCertificateSecret is set (falcosidekick).",
      ),
    minimumPriority: z.enum(priorities).optional().describe('Forward only events of this priority or above.'),
    clientCertificateSecret: secretName
      .optional()
      .describe('Mutual TLS: a Secret in the Falco namespace with tls.crt, tls.key and ca.crt.'),
    headersSecret: secretName
      .optional()
      .describe(
        'A Secret in the Falco namespace whose key `headers` holds `Name:value,Name:value`, sent with every event.',
      ),
  })
  .describe('Where a spoke sends its events. Spokes only.');

const rollout = z
  .strictObject({
    restartStale: z
      .boolean()
      .default(false)
      .describe(
        'Replace pods of opted-in namespaces that were injected with other settings or by another version, or created without the webhook: one at a time for each DaemonSet, Deployment, ReplicaSet or StatefulSet, by the Eviction API, so PodDisruptionBudgets count and no template is touched. The next one only when its successor is ready and federated. Needs components/restart-stale of the manifests.',
      ),
  })
  .describe('Pods that are there already.');

export const settingsSchema = z
  .strictObject({
    cluster: clusterName.describe('Name of this cluster. Default for labels.env and tags.'),
    role: z
      .enum(['spoke', 'hub'])
      .default('spoke')
      .describe('`spoke`: events are forwarded to the hub. `hub`: events of all clusters arrive here.'),
    labels: z
      .record(labelKey, labelValue)
      .optional()
      .describe('Custom fields on every alert. Default: `env: <cluster>`.'),
    tags: z.array(tag).optional().describe('Tags on every rule. Default: `[<cluster>]`.'),
    injectAt: z
      .enum(['pod', 'workload'])
      .default('pod')
      .describe(
        '`pod`: pods are changed as they are created, workloads never (no drift for GitOps). `workload`: the template of the DaemonSet, Deployment or StatefulSet is changed too.',
      ),
    // prefault: the defaults of the keys inside apply where the whole section is absent.
    rules: rules.prefault({}),
    hub: hub.optional(),
    rollout: rollout.prefault({}),
  })
  .superRefine((settings, context) => {
    if (settings.role === 'hub' && settings.hub !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['hub'],
        message: 'is for spokes only: with role "hub" events arrive here and are not forwarded; remove it',
      });
    }
    if (settings.tags === undefined && !tag.safeParse(settings.cluster).success) {
      context.addIssue({
        code: 'custom',
        path: ['tags'],
        message: `must be set, because the cluster's name cannot be a tag: ${tag.safeParse(settings.cluster).error?.issues[0]?.message}`,
        input: undefined,
      });
    }
  });

/** What `federation.yaml` says, defaults filled in (but for labels and tags: see federation/identity.ts). */
export type Settings = z.output<typeof settingsSchema>;
