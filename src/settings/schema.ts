import { createHash } from 'node:crypto';
import * as z from 'zod';
import { addressProblem, amountOf, imageReference } from './values.ts';

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

/** falcosidekick's priorities, in its spelling. */
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

export type Priority = (typeof priorities)[number];

/** What the forwarder's spool takes at least, with its write-ahead log. */
const smallestSpoolSize = 16 * 2 ** 20;
const largestSpoolSize = 2 ** 46;

const clusterName = z
  .string()
  .max(63, 'must be at most 63 characters long: it becomes the value of a pod label')
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/,
    'must consist of letters, digits, "-", "_" and ".", and start and end with a letter or digit: it becomes the value of a pod label',
  );

/** Label keys and values as falcosidekick's fields carry them: `CUSTOMFIELDS`, `TEMPLATEDFIELDS` (FACTS 3.2, 3.4). */
const fieldKey = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    'a label key must consist of letters, digits and "_", and not start with a digit: falcosidekick makes it a Prometheus label',
  )
  .regex(/^(?!__)/, 'a label key must not start with "__": Prometheus reserves such labels')
  .regex(
    new RegExp(`^(?!(?:${reservedLabelKeys.join('|')})$)`),
    `a label key must not be one of ${reservedLabelKeys.join(', ')}: falcosidekick has Prometheus labels of these names and panics at start-up if a custom field has one of these names`,
  );

const fieldValue = z
  .string()
  .regex(
    /^[^,:]*$/,
    'a label value must not contain "," or ":": falcosidekick splits its custom fields there and silently drops what does not fit',
  )
  .regex(
    /^\S*$/,
    'a label value must not contain spaces: falcosidekick and search fields cannot handle them',
  );

/** The same as Falco's `append_output` carries them: enough where the forwarder completes events. */
const labelKey = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_./-]*$/,
    'a label key must consist of letters, digits, "_", ".", "-" and "/", and start with a letter or "_"',
  );

const labelValue = z
  .string('a label value must be a string: quote numbers and booleans')
  .min(1, 'a label value must not be empty: falcosidekick would drop the field')
  .regex(
    /^[^%$"'`\\{}\p{Cc}]*$/u,
    'a label value must not contain % $ " \' ` \\ { } or control characters: Falco, falcosidekick and Kubernetes read them as formats, templates and references',
  );

export type Labels = Readonly<Record<string, string>>;

type LabelProblem = { readonly key: string; readonly message: string };

function firstProblem(text: string, ...schemas: readonly z.ZodType[]): string | undefined {
  for (const schema of schemas) {
    const message = schema.safeParse(text).error?.issues[0]?.message;
    if (message !== undefined) return message;
  }
  return undefined;
}

/** What is wrong with labels: one problem at the most for a key, and one for its value. */
export function labelProblems(labels: Labels, { asFields }: { readonly asFields: boolean }): LabelProblem[] {
  return Object.entries(labels).flatMap(([key, value]) =>
    [
      firstProblem(key, labelKey, ...(asFields ? [fieldKey] : [])),
      firstProblem(value, labelValue, ...(asFields ? [fieldValue] : [])),
    ].flatMap((message) => (message === undefined ? [] : [{ key, message }])),
  );
}

export const tag = z
  .string('a tag must be a string: quote numbers and booleans')
  .regex(
    /^[A-Za-z0-9_-]+$/,
    'a tag must consist of letters, digits, "-" and "_": falcosidekick splits tags at "," and removes spaces, and the tag filter of its UI only escapes "-"',
  );

/** Kubernetes takes numbers too. */
const quantity = z.coerce
  .string()
  .regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$/, 'must be a Kubernetes quantity such as 10m, 0.5 or 64Mi')
  .meta({ type: ['string', 'number'] });

const memory = quantity.regex(
  /[^m]$/,
  'must be an amount of memory such as 64Mi: "m" means thousandths of a byte',
);

const amounts = z.strictObject({ cpu: quantity.optional(), memory: memory.optional() });

/** Below it the container runtime may not start the container at all. */
const smallestMemory = '16Mi';

/** What the API server refuses would keep Falco's pod from being created. */
const resources = z
  .strictObject({ requests: amounts.optional(), limits: amounts.optional() })
  .superRefine(({ requests, limits }, context) => {
    for (const name of ['cpu', 'memory'] as const) {
      const [request, limit] = [requests?.[name], limits?.[name]];
      if (request === undefined || limit === undefined || amountOf(request) <= amountOf(limit)) continue;
      const message = `must not be above limits.${name} (${limit}): Kubernetes would reject the pod`;
      context.addIssue({ code: 'custom', path: ['requests', name], message, input: undefined });
    }
    if (amountOf(limits?.cpu ?? '1') === 0) {
      context.addIssue({
        code: 'custom',
        path: ['limits', 'cpu'],
        message: 'must not be 0',
        input: undefined,
      });
    }
    if (amountOf(limits?.memory ?? smallestMemory) < amountOf(smallestMemory)) {
      const message = `must be at least ${smallestMemory}: the container would not start with less`;
      context.addIssue({ code: 'custom', path: ['limits', 'memory'], message, input: undefined });
    }
  });

const size = z
  .string('a size must be a string, as in "1Gi"')
  .regex(/^[0-9]+(Ki|Mi|Gi|k|M|G)$/, { error: 'must be a size such as 512Mi or 1Gi', abort: true })
  .refine(
    (text) => amountOf(text) >= smallestSpoolSize && amountOf(text) <= largestSpoolSize,
    'must be between 16Mi, some of which the database needs itself, and 65536Gi',
  );

const secretName = z
  .string()
  .max(253, 'must be at most 253 characters long: it is the name of a Secret')
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
    'must be the name of a Secret: lower-case letters, digits, "-" and "."',
  );

const portPattern = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])';

const address = z
  .string()
  .regex(/^https?:\/\/\S+$/, { message: 'must be an http:// or https:// address', abort: true })
  .superRefine((text, context) => {
    const message = addressProblem(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message, input: text });
  })
  // As far as a pattern says it, for Helm.
  .meta({ pattern: `^https?://(\\[[0-9a-fA-F:.]+\\]|[^\\s/:?#@$]+)(:${portPattern})?(/[^\\s?#$]*)?$` });

/** Name of the image as it is built: what is taken where there is no pod of our own to ask, and the manifests name. */
export const defaultImage = 'falco-federation-webhook:0.1.0';

const rules = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Tag every rule in Falco pods. When off, the forwarder adds the tags to events instead.'),
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
      .max(500, 'must be at most 500 characters long')
      .regex(
        imageReference,
        'must be an image reference such as registry.example/falco-federation-webhook:0.1.0: lower-case names, one tag',
      )
      .optional()
      .describe(
        'Image of the injected containers, of the same version as the webhook. Default: the image that the webhook itself runs from, as its own pod names it. To be set where injected pods pull from elsewhere. `falco-federation inject` has no pod to ask and takes `falco-federation-webhook:<version>`.',
      ),
    imagePullSecrets: z
      .array(secretName)
      .default([])
      .describe(
        "Names of Secrets in Falco's namespaces with which `image` is pulled; added to pods that our containers are added to. With those of the pod's service account, which count only where a pod names none: a template that names none is left to the webhook of pods.",
      ),
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
    requestsEqualLimits: z
      .boolean()
      .optional()
      .describe(
        'All injected containers request their limits: where a LimitRange has a `maxLimitRequestRatio`, or a `min` above the requests.',
      ),
  })
  .describe('Rule tagging in Falco pods.');

const hub = z
  .strictObject({
    address: address.describe("Address of the hub's receiver."),
    minimumPriority: z.enum(priorities).optional().describe('Forward only events of this priority or above.'),
  })
  .describe('Where a spoke sends its events. Spokes only.');

/** Where the manifests put the forwarder's Service. */
export const defaultForwarderAddress = 'http://falco-federation-forwarder.falco-federation:2801';

const forwarder = z
  .strictObject({
    address: address
      .regex(/^http:\/\/[^/]+$/, 'must be http://HOST:PORT without a path: it is a Service of this cluster')
      .default(defaultForwarderAddress)
      .describe('Where Falco pods find the forwarder: its Service, another one in another namespace.'),
    spoolSize: size
      .default('1Gi')
      .describe(
        "What the spool's files may take on disk. When it is full, the oldest event of the lowest priority goes first.",
      ),
  })
  .describe('The forwarder. Spokes with `hub` only.');

const alerts = z
  .strictObject({
    volumeSize: z
      .string('a size must be text, as in "16Mi"')
      .regex(/^[0-9]+(Ki|Mi|Gi|k|M|G)$/, { error: 'must be a size such as 16Mi', abort: true })
      .refine((text) => amountOf(text) >= 4 * 2 ** 20, 'must be at least 4Mi')
      .refine((text) => amountOf(text) <= 2 ** 30, 'must be at most 1Gi: it is memory of the Falco container')
      .default('16Mi')
      .describe(
        "Size of the volume in memory that alerts wait in until the forwarder has them. What is in it counts against the memory limit of Falco's container. When it is nearly full, the oldest alerts go first.",
      ),
    resources: resources
      .default({
        requests: { cpu: '10m', memory: '16Mi' },
        limits: { cpu: '200m', memory: '32Mi' },
      })
      .describe(
        'Resources of the container that ships alerts. Keep both parts: quotas and limit ranges ask for them.',
      ),
    jsonOutput: z
      .enum(['set', 'leave'])
      .default('set')
      .describe(
        "Falco has one `json_output` for all its outputs. `set`: it is switched on, so the lines on Falco's standard output become JSON too. `leave`: it stays as it is; a Falco that writes text is not shipped, which is reported.",
      ),
  })
  .describe("How Falco's alerts reach the forwarder. Spokes with `hub` only.");

export type Alerts = z.output<typeof alerts>;

/** What holds where the section is absent. */
export const defaultAlerts: Alerts = alerts.parse({});

const receiver = z
  .strictObject({
    falcosidekick: address.describe(
      "Address of this cluster's falcosidekick, to which events of spokes are passed on.",
    ),
    spokes: z
      .record(
        clusterName,
        z.strictObject({
          labels: z
            .record(labelKey, labelValue)
            .optional()
            .describe('Custom fields of its events. Default: `env: <name>`.'),
          tags: z.array(tag).optional().describe('Tags of its events. Default: `[<name>]`.'),
        }),
      )
      .optional()
      .describe(
        "Who may report, by the common names of client certificates, and what its events are marked with, whatever they say themselves. Default: whoever has a certificate of the federation's authority.",
      ),
  })
  .describe("The receiver, which takes spokes' events. Hubs only.");

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
    forwarder: forwarder.optional(),
    alerts: alerts.optional(),
    receiver: receiver.optional(),
  })
  .superRefine((settings, context) => {
    const refuse = (path: string[], message: string): void =>
      context.addIssue({ code: 'custom', path, message, input: undefined });
    for (const [path, message] of [...wrongForRole(settings), ...wrongReceiver(settings)])
      refuse(path, message);
    if (carriesFields(settings)) {
      // What holds for all labels has been told already.
      const told = labelProblems(settings.labels ?? {}, { asFields: false });
      for (const { key, message } of labelProblems(settings.labels ?? {}, { asFields: true }))
        if (!told.some((one) => one.key === key)) refuse(['labels', key], message);
    }
    const nameAsTag = tag.safeParse(settings.cluster);
    if (settings.tags === undefined && !nameAsTag.success) {
      refuse(
        ['tags'],
        `must be set, because the cluster's name cannot be a tag: ${nameAsTag.error.issues[0]?.message}`,
      );
    }
  });

/** Whether labels become falcosidekick's fields, which carry less than Falco and the forwarder do. */
export function carriesFields({ role }: { readonly role: 'spoke' | 'hub' }): boolean {
  return role === 'hub';
}

function wrongForRole(sections: {
  readonly role: string;
  readonly hub?: unknown;
  readonly forwarder?: unknown;
  readonly alerts?: unknown;
}): [path: string[], message: string][] {
  const wrong: [string[], string][] = [];
  if (sections.role === 'hub' && sections.hub !== undefined) {
    const why = 'is for spokes only: with role "hub" events arrive here and are not forwarded; remove it';
    wrong.push([['hub'], why]);
  }
  for (const key of ['forwarder', 'alerts'] as const) {
    if (sections[key] === undefined || sections.hub !== undefined) continue;
    wrong.push([[key], 'is for spokes with "hub" only; remove it, or set hub']);
  }
  return wrong;
}

function wrongReceiver({
  role,
  receiver: section,
}: {
  readonly role: string;
  readonly receiver?: z.output<typeof receiver> | undefined;
}): [path: string[], message: string][] {
  if (section !== undefined && role !== 'hub')
    return [[['receiver'], 'is for hubs only: with role "spoke" events are sent to hub.address; remove it']];
  return Object.entries(section?.spokes ?? {}).flatMap(([name, { labels = {} }]) =>
    labelProblems(labels, { asFields: true }).map(({ key, message }): [string[], string] => [
      ['receiver', 'spokes', name, 'labels', key],
      message,
    ]),
  );
}

/** What `federation.yaml` says, defaults filled in (but for labels and tags: see federation/effective-settings.ts). */
export type Settings = z.output<typeof settingsSchema>;

const completed = new WeakMap<Settings, Settings>();

/**
 * Settings with the image that they leave open.
 *
 * @param own the image that this program runs from; `undefined` where it is not known
 * @returns the very same object for the same settings and image: what is worked out of them is remembered by it
 */
export function withImage(settings: Settings, own: string | undefined): Settings {
  if (settings.rules.image !== undefined || own === undefined) return settings;
  const before = completed.get(settings);
  if (before?.rules.image === own) return before;
  const complete = { ...settings, rules: { ...settings.rules, image: own } };
  completed.set(settings, complete);
  return complete;
}

/** Twelve hexadecimal digits that change when anything in the settings does. */
export function fingerprintOfSettings(settings: Settings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 12);
}
