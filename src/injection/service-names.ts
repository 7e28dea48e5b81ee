import type { V1PodSpec } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import type { Finding } from '../reasons/reasons.ts';

/** IPv6 addresses stand in brackets. */
function isAddress(hostname: string): boolean {
  return hostname.startsWith('[') || !/[a-z]/.test(hostname);
}

/**
 * A pod on the host's network asks the node's resolver, which knows no Services, unless its `dnsPolicy` says otherwise:
 * then the forwarder's name leads nowhere. An IP address needs no resolver.
 */
export function unresolvable(spec: V1PodSpec, { forwarder }: EffectiveSettings): Finding[] {
  if (forwarder === undefined || isAddress(new URL(forwarder).hostname)) return [];
  if (spec.hostNetwork !== true || spec.dnsPolicy === 'ClusterFirstWithHostNet') return [];
  // `None` comes with a resolver of the user's own.
  if (spec.dnsPolicy === 'None') return [];
  return [{ code: 'forwarder_not_resolvable', detail: forwarder }];
}
