import { effectiveSettings } from '../federation/effective-settings.ts';
import { readFields } from '../injection/falcosidekick/fields.ts';
import { imageVersion, isBefore } from '../injection/image.ts';
import { messageOf } from '../reasons/message-of.ts';
import type { Settings } from '../settings/schema.ts';
import type { Check } from './check.ts';
import { readEnvironment } from './environment.ts';
import { falcosidekickOf } from './falcosidekick.ts';
import { usesForwarder } from './forwarder.ts';
import type { JudgedPod } from './judge-pod.ts';
import { error, type Line, ok, some, warning } from './line.ts';
import { hubSecretName, webhookName } from './names.ts';
import { judgedPods } from './pods.ts';
import { condition, type Replica } from './replica.ts';
import type { View } from './view.ts';

/** What keeps events from the hub, by the words of Node and of the forwarder. */
interface Obstacle {
  readonly words: RegExp;
  readonly what: string;
  readonly fix: (at: { readonly hub: URL; readonly namespace: string }) => string;
}

const obstacles: readonly Obstacle[] = [
  {
    words: /ENOTFOUND|EAI_AGAIN|getaddrinfo/,
    what: 'its name is not found (DNS)',
    fix: ({ hub, namespace }) =>
      `nslookup ${hub.hostname}; kubectl --namespace ${namespace} edit configmap/${webhookName}   # hub.address`,
  },
  {
    words: /certificate|self-signed|altnames|CERT_|TLS|SSL|EPROTO/i,
    what: 'its certificate is not trusted, or ours is not (TLS)',
    fix: ({ hub, namespace }) =>
      `openssl s_client -connect ${hub.hostname}:${hub.port || '443'} -servername ${hub.hostname} </dev/null | openssl x509 -noout -issuer -enddate -ext subjectAltName; kubectl --namespace ${namespace} describe secret ${hubSecretName}   # ca.crt: who signed it`,
  },
  {
    words: /answers 40[13]/,
    what: 'it does not let us in',
    fix: ({ namespace }) =>
      `kubectl --namespace ${namespace} describe secret ${hubSecretName}   # tls.crt, tls.key, headers`,
  },
  {
    words: /answers \d{3}/,
    what: 'something there answers, and is no falcosidekick that takes events',
    fix: ({ hub }) => `curl --verbose ${new URL('/ping', hub)}`,
  },
];

const anyObstacle: Omit<Obstacle, 'words'> = {
  what: 'it is not reached (network)',
  fix: ({ hub, namespace }) =>
    `curl --verbose ${new URL('/ping', hub)}; kubectl --namespace ${namespace} describe networkpolicy falco-federation-forwarder   # the hub's port`,
};

function away(replica: Replica, address: string, namespace: string): readonly Line[] {
  const hub = condition(replica, 'hub');
  const heartbeat = condition(replica, 'heartbeat');
  if (hub === undefined) return [];
  const text = `${replica.name}: the hub ${address}`;
  const problem = [hub, heartbeat].find((one) => /^(takes no|not taken)/.test(one?.detail ?? ''))?.detail;
  if (problem !== undefined) {
    const { what, fix } = obstacles.find(({ words }) => words.test(problem)) ?? anyObstacle;
    return [error('hub', text, `${what}: ${problem}`, fix({ hub: new URL(address), namespace }))];
  }
  if (heartbeat?.detail === 'none yet') {
    const fix = `kubectl --namespace ${namespace} logs ${replica.name}`;
    return [warning('hub', text, 'no heartbeat has been answered yet', fix)];
  }
  const taken = heartbeat?.detail.replace(/^ok, taken/, 'took a heartbeat');
  return [ok('hub', `${text} ${taken === undefined || taken === 'off' ? 'takes events' : taken}`)];
}

/** A spoke's hub, as its forwarders find it. */
export const hubOfSpoke: Check = {
  name: 'hub',
  title: 'the hub takes events',
  look: async (view) => {
    const address = (await view.goodSettings())?.hub?.address;
    if (address === undefined || !(await usesForwarder(view))) return [];
    const namespace = await view.place();
    return (await view.forwarderReplicas()).flatMap((replica) => away(replica, address, namespace));
  },
};

/** That a hub's own events get their labels, and what the spokes say stays. */
async function templates(
  view: View,
  namespace: string,
  pod: JudgedPod,
  settings: Settings,
): Promise<readonly Line[]> {
  const container = falcosidekickOf(pod);
  if (container === undefined) return [];
  const { values } = await readEnvironment(view, namespace, container);
  const keys = Object.keys(
    effectiveSettings(settings, undefined, pod.template.metadata?.annotations).effective.labels,
  );
  const [templated, custom] = ['TEMPLATEDFIELDS', 'CUSTOMFIELDS'].map((name) =>
    readFields(values.get(name) ?? ''),
  );
  const text = `namespace ${namespace}: templates of ${pod.workload}`;
  const fix = `kubectl --namespace ${namespace} rollout restart ${pod.workload}`;
  const missing = keys.filter((key) => templated?.has(key) !== true);
  const overwritten = keys.filter((key) => custom?.has(key) === true);
  const lines: Line[] = [];
  if (missing.length > 0) {
    lines.push(
      error(
        'hub_templates',
        text,
        `TEMPLATEDFIELDS have none for ${some(missing)}: the hub's own events do not say where they are from`,
        fix,
      ),
    );
  }
  if (overwritten.length > 0) {
    lines.push(
      error(
        'hub_templates',
        text,
        `CUSTOMFIELDS set ${some(overwritten)}, and overwrite what the spokes say`,
        fix,
      ),
    );
  }
  const extra = (values.get('PROMETHEUS_EXTRALABELS') ?? '').split(',').map((one) => one.trim());
  if (isBefore(imageVersion(container.image), 2, 31) && !extra.includes(keys[0] ?? '')) {
    const why = `before 2.31 templated fields are no labels of its metrics: a silent cluster cannot be told by ${keys[0]}`;
    lines.push(
      warning(
        'hub_labels',
        `namespace ${namespace}: falcosidekick of ${pod.workload}`,
        why,
        'helm upgrade falco falcosecurity/falco   # a chart with falcosidekick 2.31 or later',
      ),
    );
  }
  return lines.length > 0 ? lines : [ok('hub_templates', `${text} are there`)];
}

async function hubsFalcosidekick(view: View, settings: Settings): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const seen = new Set<string>();
  for (const { metadata } of await view.optedIn()) {
    for (const pod of await judgedPods(view, metadata.name)) {
      const key = `${metadata.name}/${pod.workload}`;
      if (seen.has(key) || falcosidekickOf(pod) === undefined) continue;
      seen.add(key);
      lines.push(...(await templates(view, metadata.name, pod, settings)));
    }
  }
  if (seen.size > 0) return lines;
  const why = 'no namespace that has opted in has one, so the events of the spokes arrive nowhere';
  return [
    error(
      'hub_falcosidekick',
      'falcosidekick of the hub',
      why,
      'helm upgrade falco falcosecurity/falco --namespace falco --reuse-values --set falcosidekick.enabled=true',
    ),
  ];
}

/** Milliseconds. */
const ingressTime = 5_000;

function causeOf(failure: unknown): string {
  const cause: unknown = failure instanceof Error ? failure.cause : undefined;
  return cause instanceof Error ? `${messageOf(failure)}: ${messageOf(cause)}` : messageOf(failure);
}

async function ingress(address: string): Promise<Line> {
  const hub = new URL(address);
  const text = `the ingress ${address}`;
  const at = { hub, namespace: '' };
  try {
    const answer = await fetch(new URL('/ping', hub), {
      redirect: 'manual',
      signal: AbortSignal.timeout(ingressTime),
    });
    if (answer.ok) return ok('hub_ingress', `${text} leads to falcosidekick`);
    const said = await answer.text().catch(() => '');
    if (answer.status === 401 || answer.status === 403 || /certificate/i.test(said)) {
      return ok('hub_ingress', `${text} answers ${answer.status}: it asks who we are`);
    }
    const why = `it answers ${answer.status} to /ping, which falcosidekick answers 200`;
    return error('hub_ingress', text, why, `curl --verbose ${new URL('/ping', hub)}`);
  } catch (failure) {
    const why = causeOf(failure);
    // The other side ends the handshake where it wants a certificate of ours.
    if (/certificate required|alert/i.test(why))
      return ok('hub_ingress', `${text} asks for a client certificate`);
    const { what, fix } = obstacles.find(({ words }) => words.test(why)) ?? anyObstacle;
    const command = fix(at).split(';')[0] ?? '';
    return error('hub_ingress', text, `${what}: ${why}`, command);
  }
}

/** On a hub: its falcosidekick, and the way in where its address is given. */
export const hubItself: Check = {
  name: 'hub_falcosidekick',
  title: 'the hub',
  look: async (view) => {
    const settings = await view.goodSettings();
    const lines = settings?.role === 'hub' ? [...(await hubsFalcosidekick(view, settings))] : [];
    if (view.hubAddress !== undefined) lines.push(await ingress(view.hubAddress));
    return lines;
  },
};
