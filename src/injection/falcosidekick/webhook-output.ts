import type { V1EnvVar, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import { hubCertificatePath, hubCertificateVolume, hubHeadersVariable } from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { reconcileList } from '../reconcile.ts';
import type { ContainerStep } from './container-step.ts';
import { type Environment, readVariable, textOf, withEntry } from './environment.ts';

type Hub = NonNullable<EffectiveSettings['hub']>;

const addressAdded = 'falcosidekick/WEBHOOK_ADDRESS';

/**
 * The variables of falcosidekick's webhook output, every one: what we left out would come from the user's Secret, so that
 * credentials of another receiver would go to the hub (FACTS 3.14). More requests at once than falcosidekick's own one: with
 * it, a hub that takes 50 ms gets 20 events a second.
 */
function webhookVariables(environment: Environment, hub: Hub): V1EnvVar[] {
  const text = (name: string, value: string): V1EnvVar => ({ name, value });
  return [
    text('WEBHOOK_ADDRESS', hub.address),
    text('WEBHOOK_METHOD', 'POST'),
    text('WEBHOOK_CHECKCERT', String(hub.checkCertificate)),
    text('WEBHOOK_MUTUALTLS', String(hub.clientCertificateSecret !== undefined)),
    text('WEBHOOK_MINIMUMPRIORITY', hub.minimumPriority ?? ''),
    text('WEBHOOK_MAXCONCURRENTREQUESTS', '50'),
    ...headerVariables(environment, hub.headersSecret),
  ];
}

/**
 * The headers come by a variable of our own: where the Secret is not there yet, which must not keep falcosidekick from
 * starting, the kubelet would else fall back to the headers in the user's Secret. `$(…)` with nothing to put in is no
 * header (FACTS 3.2, 4.1).
 */
function headerVariables({ container }: Environment, secret: string | undefined): V1EnvVar[] {
  const name = 'WEBHOOK_CUSTOMHEADERS';
  if (secret === undefined) return [{ name, value: '' }];
  const valueFrom = { secretKeyRef: { name: secret, key: 'headers', optional: true } };
  // It would refer to a variable behind it.
  if ((container.env ?? []).some((entry) => entry.name === name)) return [{ name, valueFrom }];
  return [
    { name: hubHeadersVariable, valueFrom },
    { name, value: `$(${hubHeadersVariable})` },
  ];
}

function certificateVariables(): V1EnvVar[] {
  return [
    ['MUTUALTLSCLIENT_CERTFILE', 'tls.crt'],
    ['MUTUALTLSCLIENT_KEYFILE', 'tls.key'],
    ['MUTUALTLSCLIENT_CACERTFILE', 'ca.crt'],
  ].map(([name = '', file]) => ({ name, value: `${hubCertificatePath}/${file}` }));
}

/** What the container and the pod get for the way to the hub. */
export interface Forwarding extends ContainerStep {
  readonly volumes: readonly V1Volume[];
  readonly mounts: readonly V1VolumeMount[];
}

function nothing(environment: Environment, findings: readonly Finding[]): Forwarding {
  return { environment, added: [], findings, volumes: [], mounts: [] };
}

/**
 * Lets a spoke's falcosidekick forward to the hub by its webhook output, of which it has one:
 *
 * | WEBHOOK_ADDRESS                               | then                                             |
 * | --------------------------------------------- | ------------------------------------------------ |
 * | the user's, in `env` or a Secret that is read | kept, told                                       |
 * | a reference that cannot be read               | kept, told                                       |
 * | in an `envFrom` that cannot be read, perhaps  | ours, told: the user's receiver gets nothing     |
 * | none, or the hub's own                        | ours                                             |
 */
export function hubForwarding(environment: Environment, hub: EffectiveSettings['hub']): Forwarding {
  const { container } = environment;
  const present = readVariable(environment, 'WEBHOOK_ADDRESS');
  const address = textOf(present);
  if (present.kind === 'reference' || (address !== '' && address !== hub?.address)) {
    const where = present.kind === 'text' && present.from !== undefined ? `, ${present.from}` : '';
    return nothing(environment, [
      { code: 'hub_address_kept', detail: `container ${container.name}${where}` },
    ]);
  }
  if (hub === undefined) {
    // What cannot be read may hold an address: then nothing is amiss.
    return nothing(environment, present.kind === 'unread' ? [] : [{ code: 'hub_not_set' }]);
  }
  const certificate = hub.clientCertificateSecret;
  const entries = [
    ...webhookVariables(environment, hub),
    ...(certificate === undefined ? [] : certificateVariables()),
  ];
  const findings: Finding[] =
    present.kind === 'unread' ? [{ code: 'webhook_output_taken', detail: present.where }] : [];
  const forwarding = {
    environment: entries.reduce(withEntry, environment),
    added: [addressAdded],
    volumes: [],
    mounts: [],
  };
  if (certificate === undefined) return { ...forwarding, findings };
  const others = othersWithCertificates(environment);
  if (others.length > 0) findings.push({ code: 'client_certificate_shared', detail: others.join(', ') });
  return { ...forwarding, ...certificateFrom(certificate), findings };
}

function certificateFrom(secretName: string): Pick<Forwarding, 'added' | 'volumes' | 'mounts'> {
  return {
    added: [addressAdded, `volume/${hubCertificateVolume}`],
    volumes: [{ name: hubCertificateVolume, secret: { secretName, defaultMode: 0o644, optional: true } }],
    mounts: [{ name: hubCertificateVolume, mountPath: hubCertificatePath, readOnly: true }],
  };
}

/** Where other outputs may have mutual TLS: the files of the certificate are one for all (FACTS 3.13). */
function othersWithCertificates(environment: Environment): string[] {
  const { container, secretOf } = environment;
  const unread = readVariable(environment, 'MUTUALTLSCLIENT_CERTFILE');
  const names = [
    ...(container.env ?? []).map(({ name }) => name),
    ...(container.envFrom ?? []).flatMap(({ prefix = '', secretRef }) =>
      [...(secretOf(secretRef?.name ?? '')?.keys() ?? [])].map((key) => `${prefix}${key}`),
    ),
  ].filter((name) => /^(MUTUALTLSCLIENT_|MUTUALTLSFILESPATH$)|_MUTUALTLS$/.test(name));
  const set = [...new Set(names)].filter((name) => {
    const text = textOf(readVariable(environment, name));
    return name !== 'WEBHOOK_MUTUALTLS' && text !== '' && text !== 'false' && text !== defaultFiles;
  });
  return [...set, ...(unread.kind === 'unread' ? [unread.where] : [])];
}

/** falcosidekick's own default, which the chart writes out. */
const defaultFiles = '/etc/certs';

/** `volumes` with what the way to the hub needs. */
export function withVolumes(
  volumes: V1Volume[] | null | undefined,
  { volumes: wanted }: Forwarding,
): V1Volume[] | null | undefined {
  return wanted.length === 0 ? volumes : reconcileList(volumes, wanted, 'name');
}
