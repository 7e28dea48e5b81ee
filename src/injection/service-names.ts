import type { V1PodSpec } from '@kubernetes/client-node';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import type { Finding } from '../reasons/reasons.ts';

/**
 * A pod on the host's network asks the node's resolver, which knows no Services, unless its `dnsPolicy` says otherwise:
 * then the forwarder's name leads nowhere. An address without letters needs no resolver.
 */
export function unresolvable(spec: V1PodSpec, { forwarder }: EffectiveSettings): Finding[] {
  if (forwarder === undefined || !/[a-z]/i.test(new URL(forwarder).hostname)) return [];
  if (spec.hostNetwork !== true || spec.dnsPolicy === 'ClusterFirstWithHostNet') return [];
  // `None` comes with a resolver of the user's own.
  if (spec.dnsPolicy === 'None') return [];
  return [{ code: 'forwarder_not_resolvable', detail: forwarder }];
}
