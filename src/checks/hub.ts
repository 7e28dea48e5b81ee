import type { Check } from './check.ts';
import { error, type Line, ok } from './line.ts';
import { obstacleIn } from './obstacles.ts';
import { condition, type Replica } from './replica.ts';

function away(replica: Replica, address: string, namespace: string): readonly Line[] {
  const hub = condition(replica, 'hub');
  if (hub === undefined) return [];
  const text = `${replica.name}: the hub ${address}`;
  if (hub.detail.startsWith('ok')) return [ok('hub', `${text} accepts events`)];
  const { what, fix } = obstacleIn(hub.detail);
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
