/** A hub's door: whether spokes get in, and whether falcosidekick takes what they bring. */
import type { Check } from './check.ts';
import { installCommand } from './install-command.ts';
import { error, type Line, ok, warning } from './line.ts';
import { receiverName, receiverSecretName, webhookName } from './names.ts';
import { readyLine } from './ready-line.ts';
import { condition, type Replica } from './replica.ts';
import { rolloutLines } from './rollout.ts';
import type { View } from './view.ts';
import { cannotAsk, endpointLine, isMute } from './webhook-replicas.ts';

const day = 86_400_000;

/** Milliseconds left of the receiver's certificate at which somebody must renew it: nobody does it by himself. */
const soon = 14 * day;

interface About {
  readonly namespace: string;
  readonly falcosidekick: string;
  readonly now: number;
}

function certificateLine({ name, metrics }: Replica, { namespace, now }: About): readonly Line[] {
  const seconds = metrics?.value('falco_federation_receiver_certificate_not_after_timestamp_seconds');
  if (seconds === undefined) return [];
  const end = new Date(seconds * 1000);
  const text = `${name}: its certificate (Secret ${receiverSecretName}) is valid until ${end.toISOString().slice(0, 10)}`;
  const fix = `falco-federation certs hub --renew && kubectl --namespace ${namespace} apply -f certs/hub/secret.yaml`;
  const left = end.getTime() - now;
  if (left <= 0) return [error('receiver_certificate', text, 'it has expired: spokes do not trust it', fix)];
  if (left < soon)
    return [warning('receiver_certificate', text, `it expires in ${Math.floor(left / day)} days`, fix)];
  return [ok('receiver_certificate', text)];
}

function lookAt(replica: Replica, about: About): readonly Line[] {
  const { namespace, falcosidekick: address } = about;
  const { name } = replica;
  const lines: Line[] = [];
  const credentials = condition(replica, 'credentials');
  if (credentials !== undefined && credentials.detail !== 'ok') {
    const fix = `kubectl --namespace ${namespace} describe secret ${receiverSecretName}`;
    lines.push(
      error('receiver_credentials', `${name}: its certificate and authority`, credentials.detail, fix),
    );
  }
  const falcosidekick = condition(replica, 'falcosidekick');
  if (falcosidekick !== undefined) {
    const text = `${name}: falcosidekick ${address}`;
    const { detail } = falcosidekick;
    const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # receiver.falcosidekick`;
    if (!detail.startsWith('ok')) lines.push(error('receiver_falcosidekick', text, detail, fix));
    else if (detail === 'ok') lines.push(ok('receiver_falcosidekick', `${text} takes events`));
    else lines.push(warning('receiver_falcosidekick', text, detail.replace(/^ok; /, ''), fix));
  }
  const spokes = condition(replica, 'spokes');
  if (spokes !== undefined && !spokes.detail.startsWith('ok')) {
    lines.push(warning('receiver_spokes', `${name}: spokes`, spokes.detail, 'falco-federation fleet'));
  }
  return [...lines, ...certificateLine(replica, about)];
}

async function reachable(view: View, namespace: string): Promise<readonly Line[]> {
  const [deployment, pods, replicas] = await Promise.all([
    view.receiver(),
    view.receiverPods(),
    view.receiverReplicas(),
  ]);
  if (deployment === undefined) {
    const why = `the settings have a receiver, and there is no Deployment ${receiverName} in namespace ${namespace}: events of spokes have no way in`;
    return [error('receiver_replicas', 'the receiver', why, installCommand(await view.installed()))];
  }
  const of = { check: 'receiver_replicas', what: 'the receiver', name: receiverName, namespace };
  const consequence = 'events wait at the spokes';
  const scale = `kubectl --namespace ${namespace} scale deployment/${receiverName} --replicas=2`;
  return [
    readyLine({ ...of, workload: deployment, pods, replicas, consequence }, scale),
    ...rolloutLines('receiver_rollout', `deployment/${receiverName}`, namespace, deployment, pods),
    await endpointLine(
      'receiver_endpoints',
      view,
      { namespace, name: receiverName },
      'spokes reach no replica by it, so their events wait',
    ),
  ];
}

export const receiver: Check = {
  name: 'receiver',
  title: 'the receiver',
  look: async (view) => {
    const settings = await view.goodSettings();
    if (settings?.role !== 'hub') return [];
    const namespace = await view.place();
    if (settings.receiver === undefined) {
      const why = 'the settings have no receiver: events of spokes have no way in';
      const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # receiver.falcosidekick`;
      return [warning('receiver_replicas', 'the receiver', why, fix)];
    }
    const { falcosidekick } = settings.receiver;
    const replicas = await view.receiverReplicas();
    const mute = replicas.filter(isMute);
    return [
      ...(await reachable(view, namespace)),
      ...replicas.flatMap((replica) => lookAt(replica, { namespace, falcosidekick, now: view.now() })),
      ...(mute.length === 0 ? [] : [cannotAsk('receiver_readiness', 'the receiver', namespace, mute)]),
    ];
  },
};
