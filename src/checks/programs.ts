/** Our programs as workloads: their replicas, a rollout that proceeds or not, and the Service that leads to them. */
import type { InspectedPod } from '../cluster/index.ts';
import { firstFailure } from '../coverage/container-failure.ts';
import { containerIn, statusOf } from '../coverage/pod-status.ts';
import { podRemedy, refusalOf } from './causes.ts';
import { installCommand } from './install-command.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { forwarderName, receiverName, webhookName } from './names.ts';
import { condition, isReady, type Replica } from './replica.ts';
import type { View } from './view.ts';

/** As its lines begin: `webhook_replicas`. */
export type Program = keyof typeof programs;

export const programs = {
  webhook: {
    kind: 'Deployment',
    name: webhookName,
    consequence: 'pods that are created now are not federated',
    unreached: 'the API server cannot reach the webhook, so pods are not federated',
  },
  forwarder: {
    kind: 'StatefulSet',
    name: forwarderName,
    consequence: "Falco's alerts are not forwarded",
    unreached: "Falco's pods cannot reach the forwarder, so no alert leaves them",
  },
  receiver: {
    kind: 'Deployment',
    name: receiverName,
    consequence: 'events wait at the spokes',
    unreached: 'spokes cannot reach the receiver, so their events wait',
  },
} as const;

/** Why no node takes a pod. */
export function whyUnscheduled({ status }: InspectedPod): string | undefined {
  const found = status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return found && `cannot be scheduled: ${found.message ?? 'no reason given'}`;
}

/** What keeps a pod from ever being ready, if it stays as it is. */
function stuckBy(pod: InspectedPod): string | undefined {
  const unscheduled = whyUnscheduled(pod);
  if (unscheduled !== undefined) return unscheduled;
  const status = statusOf(pod);
  const failure = firstFailure(status, () => true);
  if (failure === undefined || failure.runningSince !== undefined) return undefined;
  const message = containerIn(status, failure.container)?.state?.waiting?.message;
  return `${failure.container}: ${failure.why}${message === undefined ? '' : `, ${message.slice(0, 200)}`}`;
}

/** Their limits, and why they do not start or were restarted. */
export function describeReplicas(namespace: string, name: string): string {
  return `kubectl --namespace ${namespace} describe pod --selector app.kubernetes.io/name=${name}`;
}

/** Why pods are not ready: the kubelet's words, else their own. */
function whyNotReady(pods: readonly InspectedPod[], replicas: readonly Replica[]): string {
  const reasons = pods
    .filter((pod) => !isReady(pod))
    .map((pod) => {
      const { name } = pod.metadata;
      const readiness = replicas.find((one) => one.name === name)?.readiness;
      const own = readiness === undefined || 'problem' in readiness ? [] : [...readiness];
      const failed = own.filter(([, { ready }]) => !ready).map(([what, { detail }]) => `${what}: ${detail}`);
      return `${name}: ${stuckBy(pod) ?? (failed.length > 0 ? failed.join('; ') : 'not ready')}`;
    });
  return some(reasons, 2);
}

async function readyLine(view: View, program: Program): Promise<Line> {
  const { kind, name, consequence } = programs[program];
  const check = `${program}_replicas`;
  const namespace = await view.place();
  const workload = await view.workload(program);
  if (workload === undefined) {
    const why = `there is no ${kind} ${name} in namespace ${namespace}, so ${consequence}; if it is elsewhere, use --namespace`;
    return error(check, `the ${program}'s replicas are ready`, why, installCommand(await view.installed()));
  }
  const [pods, replicas] = await Promise.all([view.podsOf(program), view.replicasOf(program)]);
  const wanted = workload.spec.replicas ?? 1;
  const ready = pods.filter(isReady).length;
  const text = `${ready} of ${counted(wanted, 'replica')} of the ${program} ${wanted === 1 ? 'is' : 'are'} ready`;
  if (wanted === 0) {
    const scale = `kubectl --namespace ${namespace} scale ${kind.toLowerCase()}/${name} --replicas=2`;
    return error(check, text, `${name} is scaled to 0, so ${consequence}`, scale);
  }
  if (ready >= wanted) return ok(check, text);
  const refusal = pods.length < wanted ? await refusalOf(view, namespace, { kind, name }) : undefined;
  const why = refusal ?? (pods.length === 0 ? 'there are no pods' : whyNotReady(pods, replicas));
  const fix = podRemedy(why, namespace) ?? describeReplicas(namespace, name);
  if (ready === 0) return error(check, text, `${why}; ${consequence}`, fix);
  const isStuck = refusal !== undefined || pods.some((pod) => stuckBy(pod) !== undefined);
  return isStuck ? error(check, text, why, fix) : warning(check, text, why, fix);
}

/** A rollout that is not done: while old replicas serve, a new one that does not start is easily overlooked. */
async function rolloutLines(view: View, program: Program): Promise<readonly Line[]> {
  const { kind, name } = programs[program];
  const [workload, namespace] = await Promise.all([view.workload(program), view.place()]);
  const { spec, status } = workload ?? {};
  if (spec === undefined || !status) return [];
  const wanted = spec.replicas ?? 1;
  const updated = status.updatedReplicas ?? 0;
  if (updated >= wanted && (status.replicas ?? 0) <= wanted) return [];
  const resource = `${kind.toLowerCase()}/${name}`;
  const text = `rollout of ${resource}: ${updated} of ${wanted} replicas updated`;
  const kubectl = (verb: string): string => `kubectl --namespace ${namespace} ${verb} ${resource}`;
  const deadline = status.conditions?.find(
    ({ type, status: is }) => type === 'Progressing' && is === 'False',
  );
  const [stuck = deadline?.message] = (await view.podsOf(program)).flatMap((pod) => {
    const why = stuckBy(pod);
    return why === undefined ? [] : [`${pod.metadata.name}: ${why}`];
  });
  if (typeof stuck !== 'string')
    return [warning(`${program}_rollout`, text, 'it is in progress', kubectl('rollout status'))];
  // Where none is left of what ran before, there is nothing to go back to.
  const fix = (status.replicas ?? 0) > updated ? kubectl('rollout undo') : kubectl('describe');
  return [error(`${program}_rollout`, text, `it is stuck: ${stuck}`, fix)];
}

/** Whether its Service leads to anybody. */
async function endpointLine(view: View, program: Program): Promise<Line> {
  const { name, unreached } = programs[program];
  const called = program === 'webhook' ? await view.service() : undefined;
  const at = called ?? { namespace: await view.place(), name };
  const ready = (await view.cluster.readyEndpoints(at.namespace, at.name)) ?? 0;
  const text = `Service ${at.namespace}/${at.name} has ${counted(ready, 'ready endpoint')}`;
  if (ready > 0) return ok(`${program}_endpoints`, text);
  // Replicas that are ready are in it, unless it is gone or selects others.
  const fix = (await view.podsOf(program)).some(isReady)
    ? installCommand(await view.installed())
    : `kubectl --namespace ${at.namespace} get service,endpointslices,pods`;
  return error(`${program}_endpoints`, text, unreached, fix);
}

/** What is told where pods that are ready cannot be asked through the API server; others are told anyway. */
async function muteLines(view: View, program: Program): Promise<readonly Line[]> {
  const found = (await view.replicasOf(program)).flatMap(({ name, ready, readiness }) =>
    ready && 'problem' in readiness ? [{ name, why: readiness.problem }] : [],
  );
  const [first] = found;
  if (first === undefined) return [];
  const text = `the state of the ${program}`;
  const why = `cannot be queried through the API server: ${first.why}`;
  const fix = `kubectl --namespace ${await view.place()} port-forward pod/${first.name} 8080 & sleep 2; curl localhost:8080/readyz`;
  return [warning(`${program}_readiness`, text, why, fix)];
}

/** What there is to say of each of them. */
export async function programLines(view: View, program: Program): Promise<readonly Line[]> {
  const ready = await readyLine(view, program);
  if ((await view.workload(program)) === undefined) return [ready];
  return [
    ready,
    ...(await rolloutLines(view, program)),
    await endpointLine(view, program),
    ...(await muteLines(view, program)),
  ];
}

/** A Secret that people make with `certs`. */
interface Made {
  readonly check: string;
  readonly secretName: string;
  /** The command that makes it, and the manifest that it writes. */
  readonly make: string;
  readonly file: string;
  /** Of there being none. */
  readonly consequence: string;
}

/** Whether the Secret is there, and the replicas can use it. Who may not read Secrets still learns what they tell. */
export async function credentialLines(
  view: View,
  program: Program,
  { check, secretName, make, file, consequence }: Made,
): Promise<readonly Line[]> {
  const namespace = await view.place();
  const secret = await view.secret(namespace, secretName).catch(() => 'unreadable');
  if (secret === undefined) {
    const fix = `${make} --namespace ${namespace} && kubectl --namespace ${namespace} apply -f ${file}`;
    return [error(check, `Secret ${namespace}/${secretName}`, `there is none: ${consequence}`, fix)];
  }
  return (await view.replicasOf(program)).flatMap((replica) => {
    const { detail = 'ok' } = condition(replica, 'credentials') ?? {};
    if (detail === 'ok') return [];
    const fix = `kubectl --namespace ${namespace} describe secret ${secretName}`;
    return [error(check, `${replica.name}: its credentials (Secret ${secretName})`, detail, fix)];
  });
}

const day = 86_400_000;

/** Milliseconds left of a certificate at which somebody must renew it: nobody does it by himself. */
const soon = 14 * day;

/**
 * The end of a certificate that people made with `certs`.
 *
 * @param seconds undefined: there is none, which others tell
 */
export function endLine(
  check: string,
  what: string,
  seconds: number | undefined,
  { now, expired, fix }: { readonly now: number; readonly expired: string; readonly fix: string },
): readonly Line[] {
  if (seconds === undefined) return [];
  const text = `${what} is valid until ${new Date(seconds * 1000).toISOString().slice(0, 10)}`;
  const left = seconds * 1000 - now;
  if (left <= 0) return [error(check, text, `it has expired: ${expired}`, fix)];
  return left < soon
    ? [warning(check, text, `it expires in ${Math.floor(left / day)} days`, fix)]
    : [ok(check, text)];
}
