/** Files of the Helm chart that come out of the code and of the other manifests. */
import path from 'node:path';
import type { V1ClusterRole, V1MutatingWebhookConfiguration } from '@kubernetes/client-node';
import { stringify } from 'yaml';
import { manifests, objectOf } from '../manifests/files.ts';
import { settingsJsonSchema } from './settings-reference.ts';

type Schema = Readonly<Record<string, unknown>>;
type Named<T> = T & { readonly kind: string; readonly metadata: { readonly name: string } };

const made = '# Made by `npm run docs` from';

const text: Schema = { type: 'string' };
const object: Schema = { type: 'object' };
const bool: Schema = { type: 'boolean' };
const map = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
const texts = map(text);
const list = (items: Schema): Schema => ({ type: 'array', items });
const objects = list(object);
const port: Schema = { type: 'integer', minimum: 1, maximum: 65_535 };
const count: Schema = { type: 'integer', minimum: 1 };
const seconds = '^([0-9]+(ms|[smhdwy]))*$';

function strict(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', additionalProperties: false, properties };
}

const switchOnly = strict({ enabled: bool });
/** Texts or plain numbers; there are resources that nobody can list. */
const quantity: Schema = {
  type: ['string', 'number'],
  minimum: 0,
  pattern: '^[0-9]+([.][0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$',
};
const size: Schema = { ...text, pattern: '^([0-9]+([.][0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?)?$' };
const resources = strict({ requests: map(quantity), limits: map(quantity) });
/** Labels that are the chart's own would be there twice, and select pods. */
const labels: Schema = {
  ...texts,
  patternProperties: { '^(app[.]kubernetes|falco-federation)[.]io/': false },
};
const tolerations = list(
  strict({
    key: text,
    operator: { enum: ['Exists', 'Equal', 'Lt', 'Gt'] },
    value: text,
    effect: { enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute', ''] },
    tolerationSeconds: { type: ['integer', 'null'] },
  }),
);

/** Of the pods of a program: at the top for all three of them. */
const ofPods: Readonly<Record<string, Schema>> = {
  replicas: count,
  logLevel: { enum: ['', 'trace', 'debug', 'info', 'warn', 'error', 'silent'] },
  extraArgs: list(text),
  ...{ extraEnv: objects, extraVolumes: objects, extraVolumeMounts: objects },
  ...{ nodeSelector: texts, tolerations, affinity: object, topologySpreadConstraints: objects },
  ...{ priorityClassName: text, hostAliases: objects, dnsConfig: object },
  dnsPolicy: { enum: ['', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'] },
  strategy: object,
  podDisruptionBudget: strict({
    enabled: bool,
    minAvailable: { type: ['integer', 'string', 'null'] },
    maxUnavailable: { type: ['integer', 'string', 'null'] },
  }),
  ...{ podSecurityContext: object, securityContext: object },
  ...{ startupProbe: object, livenessProbe: object, readinessProbe: object },
  ...{ podLabels: labels, podAnnotations: texts },
};

const service = {
  annotations: texts,
  ipFamilyPolicy: { enum: ['SingleStack', 'PreferDualStack', 'RequireDualStack'] },
  ipFamilies: list({ enum: ['IPv4', 'IPv6'] }),
};

/** Of one program. */
const ofOne: Readonly<Record<string, Schema>> = {
  ...ofPods,
  resources,
  serviceAccount: strict({ create: bool, name: text, annotations: texts }),
  service: strict(service),
};

/** Values that are no settings. */
const ofTheChart: Readonly<Record<string, Schema>> = {
  image: strict({
    registry: text,
    // The port of a registry is no tag.
    repository: { ...text, pattern: '^([^/:@]+(:[0-9]+)?/)?[^:@]+$' },
    tag: text,
    digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
    pullPolicy: { enum: ['', 'Always', 'IfNotPresent', 'Never'] },
  }),
  imagePullSecrets: list({ ...strict({ name: { type: 'string', minLength: 1 } }), required: ['name'] }),
  ...ofPods,
  webhook: strict(ofOne),
  timeoutSeconds: { type: 'integer', minimum: 1, maximum: 30 },
  commonLabels: labels,
  commonAnnotations: texts,
  extraObjects: list({ type: ['object', 'string'] }),
  certManager: switchOnly,
  callers: strict({ configMap: text, name: text }),
  hostNetwork: strict({
    enabled: bool,
    ports: strict({ webhook: port, health: port, metrics: port }),
  }),
  // The other two are those of health and metrics; lower ones take a privilege.
  webhookPort: {
    type: 'integer',
    anyOf: [
      { minimum: 1024, maximum: 8079 },
      { minimum: 8081, maximum: 9089 },
      { minimum: 9091, maximum: 65_535 },
    ],
  },
  openshift: switchOnly,
  webhookAnnotations: texts,
  networkPolicy: strict({
    enabled: bool,
    apiServerPorts: { type: 'array', minItems: 1, items: port },
    hubPort: { ...port, type: ['integer', 'null'] },
  }),
  monitoring: strict({
    labels: texts,
    interval: { ...text, pattern: seconds },
    podMonitor: switchOnly,
    rules: strict({
      enabled: bool,
      alerts: map(
        strict({
          enabled: bool,
          expr: text,
          for: { ...text, pattern: seconds },
          labels: texts,
          annotations: texts,
        }),
      ),
    }),
    runbookUrl: { ...text, pattern: '^(https?://.*)?$' },
    hubPodMonitor: switchOnly,
    dashboards: switchOnly,
  }),
  coverage: switchOnly,
  checkRole: switchOnly,
  // Helm's own: values that charts share.
  global: { type: 'object', properties: { imageRegistry: text } },
};

/** Values of the forwarder that are no settings. */
const ofItsForwarder: Readonly<Record<string, Schema>> = {
  ...ofOne,
  persistence: strict({
    enabled: bool,
    ...{ size, storageClass: text, annotations: texts },
    retention: strict({
      whenDeleted: { enum: ['Retain', 'Delete'] },
      whenScaled: { enum: ['Retain', 'Delete'] },
    }),
  }),
  sizeLimit: size,
};

/** Values of the receiver that are no settings. */
const ofItsReceiver: Readonly<Record<string, Schema>> = {
  ...ofOne,
  service: strict({
    ...service,
    type: { enum: ['LoadBalancer', 'NodePort', 'ClusterIP'] },
    loadBalancerClass: text,
    nodePort: { type: 'integer', minimum: 0, maximum: 65_535 },
  }),
};

interface ObjectSchema {
  readonly properties: Readonly<Record<string, ObjectSchema>>;
}

/** values.schema.json: the settings' schema, and the chart's own keys beside it. */
function valuesSchema(): Schema {
  // Safe: JSON Schema that zod has just made of an object of objects.
  const settings = settingsJsonSchema() as ObjectSchema;
  const { forwarder, receiver } = settings.properties;
  return {
    ...settings,
    title: 'values of the chart falco-federation-webhook',
    properties: {
      ...settings.properties,
      forwarder: { ...forwarder, properties: { ...forwarder?.properties, ...ofItsForwarder } },
      receiver: { ...receiver, properties: { ...receiver?.properties, ...ofItsReceiver }, required: [] },
      ...ofTheChart,
    },
  };
}

/** Which pods are sent: the condition of the base's webhook, as it is. */
function falcoPods(): string {
  const { webhooks } = objectOf<Named<V1MutatingWebhookConfiguration>>(
    'base/webhook-configuration.yaml',
    'MutatingWebhookConfiguration',
  );
  const [condition] = webhooks?.[0]?.matchConditions ?? [];
  if (condition === undefined) throw new Error('the base has no match condition');
  return `${condition.expression}\n`;
}

function checkRules(): string {
  const file = 'check-role/cluster-role.yaml';
  const { rules } = objectOf<Named<V1ClusterRole>>(file, 'ClusterRole');
  return `${made} ../../${file}.\n${stringify(rules)}`;
}

export const chartFiles: ReadonlyMap<string, string> = new Map([
  [path.join(manifests, 'chart/values.schema.json'), `${JSON.stringify(valuesSchema(), null, 2)}\n`],
  [path.join(manifests, 'chart/files/falco-pods.cel'), falcoPods()],
  [path.join(manifests, 'chart/files/check-rules.yaml'), checkRules()],
]);
