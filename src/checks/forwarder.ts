import { hubCause } from './causes.ts';
import type { Check } from './check.ts';
import { counted, error, type Line, ok, warning } from './line.ts';
import { hubSecretName } from './names.ts';
import { credentialLines, endLine, programLines } from './programs.ts';
import { condition, type Metrics, type Replica } from './replica.ts';
import type { View } from './view.ts';

/** Part of the spool from which it is nearly full. */
const nearlyFull = 0.9;

/** Seconds that an event waits where the hub accepts events. */
const longWait = 300;

/** Whether this cluster's events go through the forwarder, by its settings. */
export async function usesForwarder(view: View): Promise<boolean> {
  return (await view.goodSettings())?.hub !== undefined;
}

/** Of a forwarder's metric, over all its labels. */
export function sum(metrics: Metrics, name: string): number {
  return metrics.samples(`falco_federation_forwarder_${name}`).reduce((all, { value }) => all + value, 0);
}

function spoolLine(name: string, metrics: Metrics, namespace: string): readonly Line[] {
  const [waiting, size, limit] = [
    sum(metrics, 'waiting_events'),
    sum(metrics, 'spool_bytes'),
    sum(metrics, 'spool_limit_bytes'),
  ];
  const [dropped, oldest] = [sum(metrics, 'events_dropped_total'), sum(metrics, 'oldest_waiting_seconds')];
  const share = limit === 0 ? 0 : size / limit;
  const text = `${name}: ${counted(waiting, 'event waits', 'events wait')}, spool at ${Math.round(share * 100)} %`;
  const fix = `kubectl --namespace ${namespace} logs ${name}   # why events wait; a larger forwarder.spoolSize requires a larger volume`;
  // Room is made by whole files, so a small spool that drops events is far from 100 %.
  if (share >= (dropped > 0 ? nearlyFull / 2 : nearlyFull)) {
    const lost =
      dropped > 0
        ? `is full: ${counted(dropped, 'event')} dropped already`
        : 'is nearly full; once it is full, the oldest events of the lowest priority are dropped';
    return [error('forwarder_spool', text, `the spool ${lost}`, fix)];
  }
  if (dropped > 0) {
    return [
      warning(
        'forwarder_spool',
        text,
        `the spool was full: ${counted(dropped, 'event')} dropped since it started`,
        fix,
      ),
    ];
  }
  if (waiting > 0 && oldest > longWait) {
    const why = `the oldest event has been waiting for ${Math.round(oldest / 60)} min`;
    return [warning('forwarder_spool', text, why, `kubectl --namespace ${namespace} logs ${name}`)];
  }
  return [ok('forwarder_spool', text)];
}

function rejectedLine(name: string, metrics: Metrics, namespace: string): readonly Line[] {
  const rejected = sum(metrics, 'events_rejected_total');
  if (rejected === 0) return [];
  const why = `the hub has refused ${counted(rejected, 'event')} permanently since it started`;
  const fix = `kubectl --namespace ${namespace} exec ${name} -- /usr/bin/falco-federation forward --list-rejected --spool /var/lib/falco-federation-forwarder`;
  return [warning('forwarder_rejected', name, why, fix)];
}

interface About {
  readonly cluster: string;
  readonly namespace: string;
  readonly now: number;
}

function lookAt(replica: Replica, about: About): readonly Line[] {
  const { name, metrics } = replica;
  const { cluster, namespace, now } = about;
  const lines: Line[] = [];
  const spool = condition(replica, 'spool');
  if (spool !== undefined && !spool.ready) {
    const fix = `kubectl --namespace ${namespace} describe pod ${name}`;
    lines.push(
      error('forwarder_spool', `${name}: spool`, `${spool.detail}; events stay in Falco's pods`, fix),
    );
  }
  if (metrics === undefined) return lines;
  return [
    ...lines,
    ...spoolLine(name, metrics, namespace),
    ...rejectedLine(name, metrics, namespace),
    ...endLine(
      'forwarder_certificate',
      `${name}: its certificate for the hub (Secret ${hubSecretName})`,
      metrics.value('falco_federation_forwarder_client_certificate_not_after_timestamp_seconds'),
      {
        now,
        expired: 'the hub refuses the connection',
        fix: `falco-federation certs spoke ${cluster} --renew && kubectl --namespace ${namespace} apply -f certs/spokes/${cluster}/secret.yaml`,
      },
    ),
  ];
}

/** What a spoke's events go through on their way. */
export const forwarder: Check = {
  name: 'forwarder_replicas',
  title: 'the forwarder',
  look: async (view) => {
    if (!(await usesForwarder(view))) return [];
    const namespace = await view.place();
    const cluster = (await view.goodSettings())?.cluster ?? '';
    const replicas = await view.replicasOf('forwarder');
    const about = { cluster, namespace, now: view.now() };
    return [
      ...(await programLines(view, 'forwarder')),
      ...(await credentialLines(view, 'forwarder', {
        check: 'forwarder_credentials',
        secretName: hubSecretName,
        make: `falco-federation certs spoke ${cluster}`,
        file: `certs/spokes/${cluster}/secret.yaml`,
        consequence: "the hub's receiver accepts no connection without a certificate of the federation",
      })),
      ...replicas.flatMap((replica) => lookAt(replica, about)),
    ];
  },
};

function away(replica: Replica, address: string, namespace: string): readonly Line[] {
  const hub = condition(replica, 'hub');
  if (hub === undefined) return [];
  const text = `${replica.name}: the hub ${address}`;
  if (hub.detail.startsWith('ok')) return [ok('hub', `${text} accepts events`)];
  const { what, fix } = hubCause(hub.detail);
  return [error('hub', text, `${what}: ${hub.detail}`, fix({ hub: new URL(address), namespace }))];
}

/** A spoke's hub, as its forwarders find it. */
export const hubOfSpoke: Check = {
  name: 'hub',
  title: 'the hub accepts events',
  look: async (view) => {
    const address = (await view.goodSettings())?.hub?.address;
    if (address === undefined) return [];
    const namespace = await view.place();
    return (await view.replicasOf('forwarder')).flatMap((replica) => away(replica, address, namespace));
  },
};
