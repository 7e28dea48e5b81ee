/** Files of the Helm chart that come out of the code and of the other manifests. */
import path from 'node:path';
import type { V1ClusterRole, V1MutatingWebhookConfiguration } from '@kubernetes/client-node';
import { stringify } from 'yaml';
import { settingsJsonSchema } from '../../src/settings/reference.ts';
import { manifests, objectOf } from '../manifests/files.ts';

type Schema = Readonly<Record<string, unknown>>;
type Named<T> = T & { readonly kind: string; readonly metadata: { readonly name: string } };

const made = '# Made by `npm run docs` from';

const text: Schema = { type: 'string' };
const map = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
const texts = map(text);
const objects: Schema = { type: 'array', items: { type: 'object' } };
const port: Schema = { type: 'integer', minimum: 1, maximum: 65_535 };
const count: Schema = { type: 'integer', minimum: 1 };

function strict(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', additionalProperties: false, properties };
}

const switchOnly = strict({ enabled: { type: 'boolean' } });
/** Quantities are texts or plain numbers, and there are resources that nobody can list. */
const quantities = map({ type: ['string', 'number'] });
const resources = strict({ requests: quantities, limits: quantities });

/** Values that are no settings. */
const ofTheChart: Readonly<Record<string, Schema>> = {
  image: strict({
    repository: { type: 'string', minLength: 1 },
    tag: text,
    digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
    pullPolicy: { enum: ['', 'Always', 'IfNotPresent', 'Never'] },
  }),
  imagePullSecrets: {
    type: 'array',
    items: { ...strict({ name: { type: 'string', minLength: 1 } }), required: ['name'] },
  },
  replicas: count,
  resources,
  timeoutSeconds: { type: 'integer', minimum: 1, maximum: 30 },
  nodeSelector: texts,
  tolerations: objects,
  affinity: { type: 'object' },
  priorityClassName: text,
  commonLabels: texts,
  podLabels: texts,
  podAnnotations: texts,
  certManager: switchOnly,
  hostNetwork: strict({
    enabled: { type: 'boolean' },
    ports: strict({ webhook: port, health: port, metrics: port }),
  }),
  webhookPort: port,
  openshift: switchOnly,
  webhookAnnotations: texts,
  networkPolicy: strict({
    enabled: { type: 'boolean' },
    apiServerPorts: { type: 'array', minItems: 1, items: port },
    hubPort: { ...port, type: ['integer', 'null'] },
  }),
  monitoring: strict({
    podMonitor: switchOnly,
    rules: switchOnly,
    hubPodMonitor: switchOnly,
    dashboards: switchOnly,
  }),
  coverage: switchOnly,
  checkRole: switchOnly,
  // Helm's own: values that charts share.
  global: { type: 'object' },
};

/** Values of the forwarder that are no settings. */
const ofItsForwarder: Readonly<Record<string, Schema>> = {
  replicas: count,
  persistence: strict({ enabled: { type: 'boolean' }, size: text, storageClass: text }),
  sizeLimit: text,
  resources,
  env: objects,
};

/** Values of the receiver that are no settings. */
const ofItsReceiver: Readonly<Record<string, Schema>> = {
  replicas: count,
  resources,
  service: strict({
    type: { enum: ['LoadBalancer', 'NodePort', 'ClusterIP'] },
    annotations: texts,
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
