import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../../federation/effective-settings.ts';
import {
  alertsPath,
  alertsVolumeName,
  noTokenVolumeName,
  shipAlertsContainer,
} from '../../federation/names.ts';
import type { Finding } from '../../reasons/reasons.ts';
import type { FalcoArguments } from '../../rules/configuration/falco-arguments.ts';
import { amountOf } from '../../settings/values.ts';
import { readBoolean } from '../../yaml/boolean.ts';
import { inOurWay } from './in-our-way.ts';
import { type ContainerInputs, endsByItself, nonRootUser, noToken, ownContainer } from './own-container.ts';

type Alerts = NonNullable<EffectiveSettings['alerts']>;

/** What ships a Falco's alerts. */
export interface AlertsPart {
  readonly volumes: readonly V1Volume[];
  /** Added to Falco itself. */
  readonly mounts: readonly V1VolumeMount[];
  /** In a pod that ends: a native sidecar, which ends with it. */
  readonly init: readonly V1Container[];
  readonly side: readonly V1Container[];
  readonly findings: readonly Finding[];
}

/** Alerts are not shipped. */
export function noAlertsPart(findings: readonly Finding[]): AlertsPart {
  return { volumes: [], mounts: [], init: [], side: [], findings };
}

/** What a limit of Falco's must be in volumes for alerts, which may fill with them: Falco itself needs most of it. */
const leastVolumes = 8;

/**
 * Plans what ships alerts: a volume in memory that Falco writes them into, which takes no more than its size whoever is
 * away (FACTS 1.21, 4.16), and the container that brings them to the forwarder.
 *
 * @param given what Falco's arguments say
 */
export function planAlertsPart(inputs: ContainerInputs, given: FalcoArguments, alerts: Alerts): AlertsPart {
  const { spec, falco, image } = inputs;
  // Options are the user's word, and from 0.41 the last one.
  const decides = given.options.find(
    ({ key, value = '' }) => key === 'file_output' || (key === 'json_output' && readBoolean(value) === false),
  );
  if (decides !== undefined)
    return noAlertsPart([{ code: 'alerts_option_conflict', detail: `-o ${decides.key}${decides.path}=…` }]);
  const taken = inOurWay(spec, falco, alertsPath, alertsVolumeName, noTokenVolumeName);
  if (taken !== undefined) return noAlertsPart([{ code: 'alerts_volume_in_the_way', detail: taken }]);
  const ends = endsByItself(spec);
  const mount: V1VolumeMount = { name: alertsVolumeName, mountPath: alertsPath };
  const shipper = ownContainer(inputs, {
    name: shipAlertsContainer,
    image,
    args: ['ship-alerts', '--folder', alertsPath, '--to', alerts.to, ...graceOf(spec)],
    ...(ends ? { restartPolicy: 'Always' } : {}),
    resources: alerts.resources,
    user: nonRootUser,
    volumeMounts: [mount],
  });
  return {
    volumes: [
      { name: alertsVolumeName, emptyDir: { medium: 'Memory', sizeLimit: alerts.volumeSize } },
      noToken.volume,
    ],
    mounts: [mount],
    init: ends ? [shipper] : [],
    side: ends ? [] : [shipper],
    findings: [...smallMemory(falco, alerts), ...unresolvable(spec, alerts)],
  };
}

/** Seconds that the shipper may go on for at a pod's end, where they are not those that it takes by itself. */
function graceOf({ terminationGracePeriodSeconds: grace }: V1PodSpec): string[] {
  return typeof grace !== 'number' || grace === 30 ? [] : ['--grace', String(Math.max(1, grace - 5))];
}

function smallMemory({ resources }: V1Container, { volumeSize }: Alerts): Finding[] {
  const limit: unknown = resources?.limits?.memory;
  if (typeof limit !== 'string' || !(amountOf(limit) < leastVolumes * amountOf(volumeSize))) return [];
  return [{ code: 'alerts_memory_small', detail: `${limit}, volume ${volumeSize}` }];
}

/**
 * A pod on the host's network asks the node's resolver, which knows no Services, unless its `dnsPolicy` says otherwise:
 * then the forwarder's name leads nowhere. An address without letters needs no resolver.
 */
function unresolvable(spec: V1PodSpec, { to }: Alerts): Finding[] {
  // `None` comes with a resolver of the user's own.
  if (spec.hostNetwork !== true || /^(ClusterFirstWithHostNet|None)$/.test(spec.dnsPolicy ?? '')) return [];
  return /[a-z]/i.test(new URL(to).hostname) ? [{ code: 'forwarder_not_resolvable', detail: to }] : [];
}
