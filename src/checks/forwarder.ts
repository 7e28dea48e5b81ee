import type { Check } from './check.ts';
import { installCommand } from './install-command.ts';
import { counted, error, type Line, ok, warning } from './line.ts';
import { forwarderName, hubSecretName } from './names.ts';
import { readyLine } from './ready-line.ts';
import { condition, type Metrics, type Replica } from './replica.ts';
import { rolloutLines } from './rollout.ts';
import type { View } from './view.ts';
import { cannotAsk, endpointLine, isMute } from './webhook-replicas.ts';

const day = 86_400_000;

/** Milliseconds left of a client certificate at which somebody must renew it: nobody does it by himself. */
const soon = 14 * day;

/** Part of the spool from which it is nearly full. */
const nearlyFull = 0.9;

/** Seconds that an event waits where the hub takes events. */
const longWait = 300;

/** Whether this cluster's events go through the forwarder, by its settings. */
export async function usesForwarder(view: View): Promise<boolean> {
  return (await view.goodSettings())?.hub !== undefined;
}

async function readyOnes(view: View, namespace: string): Promise<readonly Line[]> {
  const statefulSet = await view.forwarder();
  if (statefulSet === undefined) {
    const why = `the settings send events through it (hub), and there is no StatefulSet ${forwarderName} in namespace ${namespace}: Falco's alerts reach nobody`;
    return [error('forwarder_replicas', 'the forwarder', why, installCommand(await view.installed()))];
  }
  const [pods, replicas] = await Promise.all([view.forwarderPods(), view.forwarderReplicas()]);
  const of = { check: 'forwarder_replicas', what: 'the forwarder', name: forwarderName, namespace };
  const consequence = "Falco's alerts reach nobody";
  const scale = `kubectl --namespace ${namespace} scale statefulset/${forwarderName} --replicas=2`;
  return [readyLine({ ...of, workload: statefulSet, pods, replicas, consequence }, scale)];
}

function sum(metrics: Metrics, name: string): number {
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
  const fix = `kubectl --namespace ${namespace} edit configmap/falco-federation-webhook   # forwarder.spoolSize; see the lines on the hub`;
  if (share >= nearlyFull) {
    const lost =
      dropped > 0
        ? `${counted(dropped, 'event')} dropped already`
        : 'the oldest events of the lowest priority are dropped next';
    return [error('forwarder_spool', text, `the spool is full: ${lost}`, fix)];
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

export function certificateLine(
  name: string,
  metrics: Metrics,
  { cluster, namespace, now }: About,
): readonly Line[] {
  const seconds = metrics.value('falco_federation_forwarder_client_certificate_not_after_timestamp_seconds');
  if (seconds === undefined) return [];
  const end = new Date(seconds * 1000);
  const text = `${name}: its certificate for the hub (Secret ${hubSecretName}) is valid until ${end.toISOString().slice(0, 10)}`;
  const fix = `falco-federation certs spoke ${cluster} --renew && kubectl --namespace ${namespace} apply -f certs/spokes/${cluster}/secret.yaml`;
  const left = end.getTime() - now;
  if (left <= 0)
    return [error('forwarder_certificate', text, 'it has expired: the hub refuses the connection', fix)];
  if (left < soon)
    return [warning('forwarder_certificate', text, `it expires in ${Math.floor(left / day)} days`, fix)];
  return [ok('forwarder_certificate', text)];
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
  const { namespace } = about;
  const lines: Line[] = [];
  const spool = condition(replica, 'spool');
  if (spool !== undefined && !spool.ready) {
    const fix = `kubectl --namespace ${namespace} describe pod ${name}`;
    lines.push(
      error('forwarder_spool', `${name}: spool`, `${spool.detail}; events are kept in memory only`, fix),
    );
  }
  const credentials = condition(replica, 'credentials');
  if (credentials !== undefined && credentials.detail !== 'ok') {
    const fix = `kubectl --namespace ${namespace} describe secret ${hubSecretName}`;
    lines.push(error('forwarder_credentials', `${name}: credentials for the hub`, credentials.detail, fix));
  }
  if (metrics === undefined) return lines;
  return [
    ...lines,
    ...spoolLine(name, metrics, namespace),
    ...rejectedLine(name, metrics, namespace),
    ...certificateLine(name, metrics, about),
  ];
}

/** Whether a rollout goes on, and whether Falco's pods reach anybody. */
async function reachable(view: View, namespace: string): Promise<readonly Line[]> {
  const statefulSet = await view.forwarder();
  if (statefulSet === undefined) return [];
  const resource = `statefulset/${forwarderName}`;
  const why = "Falco's pods reach no replica by it, so no alert leaves them";
  return [
    ...rolloutLines('forwarder_rollout', resource, namespace, statefulSet, await view.forwarderPods()),
    await endpointLine('forwarder_endpoints', view, { namespace, name: forwarderName }, why),
  ];
}

/** Without the Secret the forwarder has no certificate. Who may not read Secrets learns it from the hub's refusal. */
async function secretLine(view: View, { cluster, namespace }: About): Promise<readonly Line[]> {
  const secret = await view.secret(namespace, hubSecretName).catch(() => 'unreadable');
  if (secret !== undefined) return [];
  const why = "there is none: the hub's receiver lets nobody in without a certificate of the federation";
  const fix = `falco-federation certs spoke ${cluster} && kubectl --namespace ${namespace} apply -f certs/spokes/${cluster}/secret.yaml`;
  return [error('forwarder_credentials', `Secret ${namespace}/${hubSecretName}`, why, fix)];
}

/** What a spoke's events go through on their way. */
export const forwarder: Check = {
  name: 'forwarder',
  title: 'the forwarder',
  look: async (view) => {
    if (!(await usesForwarder(view))) return [];
    const namespace = await view.place();
    const cluster = (await view.goodSettings())?.cluster ?? '';
    const replicas = await view.forwarderReplicas();
    const mute = replicas.filter(isMute);
    const about = { cluster, namespace, now: view.now() };
    return [
      ...(await readyOnes(view, namespace)),
      ...(await reachable(view, namespace)),
      ...(await secretLine(view, about)),
      ...replicas.flatMap((replica) => lookAt(replica, about)),
      ...(mute.length === 0 ? [] : [cannotAsk('forwarder_readiness', 'the forwarder', namespace, mute)]),
    ];
  },
};
