import type { V1Container, V1EnvVar, V1Volume } from '@kubernetes/client-node';
import type { Identity } from '../../federation/identity.ts';
import { hubCertificatePath, hubCertificateVolume } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { reconcileList } from '../reconcile.ts';
import type { ContainerStep } from './container-step.ts';
import { isUnreadable, readVariable, withEntry, withVariable } from './environment.ts';
import { readFields, withPart } from './fields.ts';

const fieldsAdded = 'falcosidekick/CUSTOMFIELDS';
const addressAdded = 'falcosidekick/WEBHOOK_ADDRESS';

/** A spoke's labels as custom fields, behind what the user has, so that ours win (FACTS 3.2). */
export function spokeFields(container: V1Container, labels: Identity['labels']): ContainerStep {
  const findings: Finding[] = [];
  const templated = readVariable(container, 'TEMPLATEDFIELDS');
  const templates = readFields(templated.kind === 'text' ? templated.text : '');
  const entries = Object.entries(labels).filter(([key]) => {
    // The same key in both stops falcosidekick (FACTS 3.4); the template would win anyway (FACTS 3.3).
    if (templates.has(key)) findings.push({ code: 'field_templated_by_user', detail: key });
    return !templates.has(key);
  });
  if (isUnreadable(templated) && entries.length > 0) {
    findings.push({ code: 'field_unreadable', detail: 'TEMPLATEDFIELDS' });
    return { container, added: [], findings };
  }
  if (entries.length === 0) return { container, added: [], findings };
  const added = [fieldsAdded];
  const variable = readVariable(container, 'CUSTOMFIELDS');
  if (variable.kind !== 'text') {
    // What the kubelet puts in for $(CUSTOMFIELDS) comes first; if there is nothing to put in, the words stay as
    // they are and falcosidekick drops them, as they hold no ":" (FACTS 3.2, 4.1).
    const unread = variable.kind === 'reference' || container.envFrom?.length ? '$(CUSTOMFIELDS)' : '';
    const text = entries.reduce((sum, [key, value]) => withPart(sum, `${key}:${value}`), unread);
    return { container: withVariable(container, 'CUSTOMFIELDS', text), added, findings };
  }
  const fields = readFields(variable.text);
  let text = variable.text;
  for (const [key, value] of entries) {
    const is = fields.get(key);
    if (is === value) continue;
    if (is !== undefined) {
      findings.push({ code: 'custom_field_replaced', detail: `${key}: ${is} becomes ${value}` });
    }
    text = withPart(text, `${key}:${value}`);
  }
  if (text === variable.text) return { container, added, findings };
  return { container: withVariable(container, 'CUSTOMFIELDS', text), added, findings };
}

/** The variables that make falcosidekick post its events to the hub (FACTS 3.6). */
function forwardingVariables(hub: NonNullable<Identity['hub']>): V1EnvVar[] {
  const text = (name: string, value: string): V1EnvVar => ({ name, value });
  const certificate = (file: string): string => `${hubCertificatePath}/${file}`;
  return [
    text('WEBHOOK_ADDRESS', hub.address),
    text('WEBHOOK_METHOD', 'POST'),
    text('WEBHOOK_CHECKCERT', String(hub.checkCertificate)),
    ...(hub.minimumPriority === undefined ? [] : [text('WEBHOOK_MINIMUMPRIORITY', hub.minimumPriority)]),
    ...(hub.clientCertificateSecret === undefined
      ? []
      : [
          text('WEBHOOK_MUTUALTLS', 'true'),
          text('MUTUALTLSCLIENT_CERTFILE', certificate('tls.crt')),
          text('MUTUALTLSCLIENT_KEYFILE', certificate('tls.key')),
          text('MUTUALTLSCLIENT_CACERTFILE', certificate('ca.crt')),
        ]),
    ...(hub.headersSecret === undefined
      ? []
      : [
          {
            name: 'WEBHOOK_CUSTOMHEADERS',
            // Optional: a Secret that is not there yet must not keep falcosidekick from starting.
            valueFrom: { secretKeyRef: { name: hub.headersSecret, key: 'headers', optional: true } },
          },
        ]),
  ];
}

interface Forwarding extends ContainerStep {
  readonly volumes: V1Volume[] | null | undefined;
}

/**
 * Lets a spoke's falcosidekick forward to the hub.
 *
 * A WEBHOOK_ADDRESS that the user has put into `env` is the user's: it is kept, with a warning (DESIGN). One from
 * `envFrom` (the chart's Secret) is beaten by ours.
 *
 * @param before what the status annotation says that an earlier injection added
 */
export function hubForwarding(
  container: V1Container,
  volumes: V1Volume[] | null | undefined,
  hub: Identity['hub'],
  before: readonly string[],
): Forwarding {
  const present = readVariable(container, 'WEBHOOK_ADDRESS');
  const users =
    !before.includes(addressAdded) &&
    (present.kind === 'reference' ||
      (present.kind === 'text' && present.text !== '' && present.text !== hub?.address));
  if (users) {
    return {
      container,
      volumes,
      added: [],
      findings: [{ code: 'hub_address_kept', detail: `container ${container.name}` }],
    };
  }
  if (hub === undefined) {
    // Without an address in `env` the chart's Secret may hold one: then nothing is amiss.
    const findings: Finding[] = container.envFrom?.length ? [] : [{ code: 'hub_not_set' }];
    return { container, volumes, added: [], findings };
  }
  let next = container;
  for (const entry of forwardingVariables(hub)) next = withEntry(next, entry);
  if (hub.clientCertificateSecret === undefined) {
    return { container: next, volumes, added: [addressAdded], findings: [] };
  }
  const volume: V1Volume = {
    name: hubCertificateVolume,
    secret: { secretName: hub.clientCertificateSecret, defaultMode: 0o644, optional: true },
  };
  const mount = { name: hubCertificateVolume, mountPath: hubCertificatePath, readOnly: true };
  const volumeMounts = reconcileList(next.volumeMounts, [mount], 'mountPath');
  return {
    container: volumeMounts === next.volumeMounts ? next : { ...next, volumeMounts },
    volumes: reconcileList(volumes, [volume], 'name'),
    added: [addressAdded, `volume/${hubCertificateVolume}`],
    findings: [],
  };
}
