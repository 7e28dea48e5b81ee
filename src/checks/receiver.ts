/** A hub's door: whether spokes get in, and whether falcosidekick takes what they bring. */

import { isSilent } from '../receiving/fleet.ts';
import type { Check } from './check.ts';
import { counted, error, type Line, ok, some, warning } from './line.ts';
import { receiverSecretName, webhookName } from './names.ts';
import { credentialLines, endLine, programLines } from './programs.ts';
import { condition, type Replica } from './replica.ts';
import { heardOfSpokes } from './spokes.ts';
import type { View } from './view.ts';

interface About {
  readonly namespace: string;
  readonly falcosidekick: string;
  readonly now: number;
}

function lookAt(replica: Replica, about: About): readonly Line[] {
  const { namespace, falcosidekick: address, now } = about;
  const { name } = replica;
  const lines: Line[] = [];
  const falcosidekick = condition(replica, 'falcosidekick');
  if (falcosidekick !== undefined) {
    const text = `${name}: falcosidekick ${address}`;
    const { detail } = falcosidekick;
    const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # receiver.falcosidekick`;
    if (!detail.startsWith('ok')) lines.push(error('receiver_falcosidekick', text, detail, fix));
    else if (detail === 'ok') lines.push(ok('receiver_falcosidekick', `${text} accepts events`));
    else lines.push(warning('receiver_falcosidekick', text, detail.replace(/^ok; /, ''), fix));
  }
  const end = endLine(
    'receiver_certificate',
    `${name}: its certificate (Secret ${receiverSecretName})`,
    replica.metrics?.value('falco_federation_receiver_certificate_not_after_timestamp_seconds'),
    {
      now,
      expired: 'spokes do not trust it',
      fix: `falco-federation certs hub --renew && kubectl --namespace ${namespace} apply -f certs/hub/secret.yaml`,
    },
  );
  return [...lines, ...end];
}

/** A forwarder reports to one replica: what each says by itself is of no use. */
async function spokesLine(view: View): Promise<readonly Line[]> {
  const { states, mute, replicas } = await heardOfSpokes(view);
  const silent = states.filter((state) => isSilent(state, view.now())).map(({ spoke }) => spoke);
  const text = counted(states.length - silent.length, 'spoke reports', 'spokes report');
  if (states.length > 0 && silent.length === 0) return [ok('receiver_spokes', text)];
  // One that cannot be asked may have heard them; that is told anyway.
  if (mute.length > 0 || replicas === 0) return [];
  const why =
    states.length === 0 ? 'none has reported yet' : `no report for five minutes from ${some(silent)}`;
  return [warning('receiver_spokes', text, why, 'falco-federation fleet')];
}

export const receiver: Check = {
  name: 'receiver_replicas',
  title: 'the receiver',
  look: async (view) => {
    const settings = await view.goodSettings();
    if (settings?.role !== 'hub') return [];
    const namespace = await view.place();
    if (settings.receiver === undefined) {
      const why = 'the settings have no receiver, so spokes cannot send events';
      const fix = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # receiver.falcosidekick`;
      return [warning('receiver_replicas', 'the receiver', why, fix)];
    }
    const { falcosidekick } = settings.receiver;
    const replicas = await view.replicasOf('receiver');
    return [
      ...(await programLines(view, 'receiver')),
      ...(await credentialLines(view, 'receiver', {
        check: 'receiver_credentials',
        secretName: receiverSecretName,
        make: 'falco-federation certs hub --name DNS',
        file: 'certs/hub/secret.yaml',
        consequence: 'without a certificate the receiver accepts no connections',
      })),
      ...replicas.flatMap((replica) => lookAt(replica, { namespace, falcosidekick, now: view.now() })),
      ...(await spokesLine(view)),
    ];
  },
};
