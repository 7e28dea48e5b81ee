/** A hub's door: whether spokes get in, and whether falcosidekick takes what they bring. */
import type { Check } from './check.ts';
import { error, type Line, ok, warning } from './line.ts';
import { receiverSecretName, webhookName } from './names.ts';
import { endLine, programLines } from './programs.ts';
import { condition, type Replica } from './replica.ts';

interface About {
  readonly namespace: string;
  readonly falcosidekick: string;
  readonly now: number;
}

function lookAt(replica: Replica, about: About): readonly Line[] {
  const { namespace, falcosidekick: address, now } = about;
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

export const receiver: Check = {
  name: 'receiver_replicas',
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
    const replicas = await view.replicasOf('receiver');
    return [
      ...(await programLines(view, 'receiver')),
      ...replicas.flatMap((replica) => lookAt(replica, { namespace, falcosidekick, now: view.now() })),
    ];
  },
};
