/** What the replicas of a hub's receiver have heard of its spokes, together. */
import { messageOf } from '../reasons/message-of.ts';
import { merged, readFleet, type SpokeState, stateOf } from '../receiving/fleet.ts';
import { portOf } from './replica.ts';
import type { View } from './view.ts';

export interface Heard {
  readonly states: readonly SpokeState[];
  /** Replicas that could not be asked. */
  readonly mute: readonly { readonly name: string; readonly why: string }[];
  readonly replicas: number;
}

export async function heardOfSpokes(view: View): Promise<Heard> {
  const [namespace, pods] = await Promise.all([view.place(), view.podsOf('receiver')]);
  const answers = await Promise.all(
    pods.map(async (pod) => {
      const { name } = pod.metadata;
      try {
        const port = String(portOf(pod, 'metrics') ?? 9090);
        const { status, text } = await view.cluster.getFromPod(namespace, name, port, 'fleet');
        if (status !== 200) throw new Error(`it answers ${status}`);
        return { heard: readFleet(text), mute: [] };
      } catch (error) {
        return { heard: [], mute: [{ name, why: messageOf(error) }] };
      }
    }),
  );
  return {
    states: merged(answers.flatMap(({ heard }) => heard)).map(stateOf),
    mute: answers.flatMap(({ mute }) => mute),
    replicas: pods.length,
  };
}
