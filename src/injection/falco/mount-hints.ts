import type { V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { isRecord } from '../record.ts';
import { configFolder, isAtOrBelow, placeOf } from './places.ts';

/**
 * What a mount's path and its volume's names tell about its content: rules or Falco's configuration, keys and other
 * credentials, a part of a system, or nothing. falco.yaml lists the rules, but lies in a ConfigMap that cannot be read
 * here.
 */
export type Hint = 'rules' | 'keys' | 'system' | undefined;

/** Folders of the chart's and the operator's Falco pods that never hold rules or configuration. */
const neverRules = [
  `${configFolder}/certs`,
  ...['/usr', '/root', '/host', '/dev', '/proc', '/sys', '/tmp', '/run', '/var/run', '/var/log'],
];

const rulesPlace = /^\/etc\/falco\/(rules|config)\.d(\/|$)|\.ya?ml$/;
const otherFile = /\.(pem|crt|cer|key|csr|p12|pfx|jks|sock|so|json|conf|log)$/i;
const rulesWord = /rule/i;
const keysWord =
  /(?<![a-z])(m?tls|ssl|pki|certs?|certificates?|ca|keys?|tokens?|secrets?|credentials?|creds?|passwords?|auth|ssh|gpg|spiffe|vault|kubeconfigs?)(?![a-z])/i;
/** Parts of a system, whether of the node or of the image; what a site has made for itself lies beside them. */
const systemPlace = new RegExp(
  [
    /^\/(etc|var|var\/lib|opt|mnt)?$/,
    /^\/(boot|lib|lib64|bin|sbin|usr|run|dev|proc|sys|root|tmp|cgroup|var\/(run|log|spool))(\/|$)/,
    /^\/var\/lib\/(docker|containerd|containers|crio|kubelet|cni|rancher|etcd)(\/|$)/,
    /^\/etc\/(localtime|timezone|machine-id|os-release|passwd|group|hostname|hosts|resolv\.conf)$/,
    /^\/etc\/(ssl|pki|ca-certificates|kubernetes|docker|containerd|containers|crio|cni|selinux|audit)(\/|$)/,
  ]
    .map(({ source }) => source)
    .join('|'),
);

/** Whether there are no rules for certain. */
export function isNeverRules(mount: V1VolumeMount): boolean {
  const place = placeOf(mount);
  return neverRules.some((folder) => isAtOrBelow(place, folder)) || otherFile.test(place);
}

/** Whether Falco reads what lies there by default, or it is named as rules files and configuration files are. */
export function isRulesPlace(mount: V1VolumeMount): boolean {
  return rulesPlace.test(placeOf(mount));
}

/** What path and names say, read as a person would: the path before the names, keys before rules in the path. */
export function hintOf(mount: V1VolumeMount, volume: V1Volume | undefined): Hint {
  if (isRulesPlace(mount)) return 'rules';
  const place = placeOf(mount);
  const names = namesOf(volume);
  if (keysWord.test(place)) return 'keys';
  if (rulesWord.test(place)) return 'rules';
  const files = hintOfFiles(volume);
  if (files !== undefined) return files;
  if (names.some((name) => rulesWord.test(name))) return 'rules';
  if (names.some((name) => keysWord.test(name))) return 'keys';
  return isOfSystem(place, volume) ? 'system' : undefined;
}

/** The files of a Secret as far as the pod lists them. */
function hintOfFiles(volume: V1Volume | undefined): Hint {
  const items: unknown = volume?.secret?.items;
  if (!Array.isArray(items) || items.length === 0) return undefined;
  return items.some((item) => /\.ya?ml$/.test(fieldOf(item, 'path'))) ? 'rules' : 'keys';
}

function isOfSystem(place: string, volume: V1Volume | undefined): boolean {
  if (/^(Socket|CharDevice|BlockDevice)$/.test(fieldOf(volume?.hostPath, 'type'))) return true;
  const host = fieldOf(volume?.hostPath, 'path');
  return systemPlace.test(place) || (host !== '' && systemPlace.test(host));
}

/** What people name things by. The words of the volume's own fields (`secret`, `key`) say nothing. */
function namesOf(volume: V1Volume | undefined): readonly string[] {
  return [
    fieldOf(volume, 'name'),
    fieldOf(volume?.secret, 'secretName'),
    fieldOf(volume?.hostPath, 'path'),
    fieldOf(volume?.csi, 'driver'),
  ];
}

/** A text field; volumes come from outside and are not checked in depth. */
function fieldOf(value: unknown, key: string): string {
  const field: unknown = isRecord(value) ? value[key] : undefined;
  return typeof field === 'string' ? field : '';
}
