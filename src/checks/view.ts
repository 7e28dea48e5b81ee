/** What checks look at. Each thing is read once a round, however many checks ask for it. */
import {
  type InspectedCluster,
  type InspectedNamespace,
  type InspectedPod,
  type InspectedSecret,
  type InspectedWebhooks,
  type InspectedWorkload,
  ourWebhooks,
  type WorkloadKind,
} from '../cluster/index.ts';
import { injectLabel, neverInjected, webhookContainer } from '../federation/names.ts';
import { findFalco } from '../injection/falco/find-falco.ts';
import { findFalcosidekick } from '../injection/falcosidekick/find-falcosidekick.ts';
import { readPodTemplate } from '../injection/pod-template.ts';
import { parseSettings, type SettingsResult } from '../settings/load.ts';
import { type Settings, withImage } from '../settings/schema.ts';
import type { Installed } from './install-command.ts';
import { defaultNamespace, settingsKey, webhookName } from './names.ts';
import { type Program, programs } from './programs.ts';
import { askReplica, type Replica } from './replica.ts';

export interface ViewOptions {
  readonly cluster: InspectedCluster;
  /** Namespace of the webhook, where it is said. */
  readonly namespace: string | undefined;
  readonly now: () => number;
  /** Waits for some milliseconds; tests make it short. */
  readonly pause: (milliseconds: number) => Promise<void>;
}

/** A namespace with pods of each workload. */
export interface NamedWorkload extends InspectedWorkload {
  readonly kind: WorkloadKind;
}

export type View = ReturnType<typeof viewOf>;

const kinds: readonly WorkloadKind[] = ['DaemonSet', 'Deployment', 'StatefulSet'];

function isOurs({ webhooks }: InspectedWebhooks): boolean {
  return webhooks?.some(({ name }) => ourWebhooks.includes(name)) === true;
}

function isThere({ metadata, status }: InspectedPod): boolean {
  return !metadata.deletionTimestamp && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}

function imagesIn(specs: readonly InspectedPod['spec'][]): readonly string[] {
  const containers = specs.flatMap((spec) => spec.containers).filter(({ name }) => name === webhookContainer);
  return [...new Set(containers.flatMap(({ image }) => image ?? []))].sort();
}

/** One that is being deleted creates no pods any more. */
export function isOptedIn({ metadata: { name, labels, deletionTimestamp } }: InspectedNamespace): boolean {
  return labels?.[injectLabel] === 'enabled' && !neverInjected.includes(name) && !deletionTimestamp;
}

export function viewOf({ cluster, namespace, now, pause }: ViewOptions) {
  const memory = new Map<string, Promise<unknown>>();
  function once<T>(key: string, read: () => Promise<T>): Promise<T> {
    const before = memory.get(key);
    // Safe: a key is used with one reading only.
    if (before !== undefined) return before as Promise<T>;
    const reading = read();
    memory.set(key, reading);
    return reading;
  }

  const configurations = () =>
    once('configurations', async () => (await cluster.webhookConfigurations()).filter(isOurs));

  /** Where the API server calls. */
  const service = async () =>
    (await configurations())
      .flatMap(({ webhooks }) => webhooks ?? [])
      .flatMap(({ clientConfig }) => clientConfig.service ?? [])[0];

  /** Where the webhook is: as said, else where its configuration points. */
  const place = () =>
    once('place', async () => {
      if (namespace !== undefined) return namespace;
      // Who may not read it is told so elsewhere.
      return (await service().catch(() => undefined))?.namespace ?? defaultNamespace;
    });

  const podsOf = (program: Program) =>
    once(`pods of ${program}`, async () => {
      const selector = `app.kubernetes.io/name=${programs[program].name}`;
      return (await cluster.pods(await place(), selector)).filter(isThere);
    });

  const replicasOf = (program: Program) =>
    once(`replicas of ${program}`, async (): Promise<readonly Replica[]> => {
      const at = await place();
      return await Promise.all((await podsOf(program)).map((pod) => askReplica(cluster, at, pod)));
    });

  const workload = (program: Program) =>
    once(`workload of ${program}`, async () => {
      const { kind, name } = programs[program];
      return cluster.workload(kind, await place(), name);
    });

  const namespaces = () => once('namespaces', () => cluster.namespaces());

  /** Images of the webhook's replicas; where there are none, the one that they would have. */
  const webhookImages = () =>
    once('images', async () => {
      const ofPods = imagesIn((await podsOf('webhook')).map(({ spec }) => spec));
      if (ofPods.length > 0) return ofPods;
      const deployment = await workload('webhook');
      return imagesIn(deployment === undefined ? [] : [deployment.spec.template.spec]);
    });

  const settings = () =>
    once('settings', async (): Promise<SettingsResult | undefined> => {
      const text = (await cluster.configMap(await place(), webhookName))?.[settingsKey];
      return text === undefined ? undefined : parseSettings(text);
    });

  const workloads = () =>
    once('workloads', async (): Promise<readonly NamedWorkload[]> => {
      const lists = await Promise.all(
        kinds.map(async (kind) => (await cluster.workloads(kind)).map((one) => ({ ...one, kind }))),
      );
      return lists.flat();
    });

  return {
    cluster,
    now,
    pause,
    place,
    /** Webhook configurations that have a webhook of ours. */
    configurations,
    service,
    workload,
    podsOf,
    replicasOf,
    /** What is known of how we were installed; who may not read something is told so elsewhere. */
    installed: async (): Promise<Installed> => {
      const [namespace, role, deployed, registered] = await Promise.all([
        place(),
        settings().then(
          (read) => (read?.ok === true ? read.settings.role : 'spoke'),
          () => 'spoke' as const,
        ),
        workload('webhook').catch(() => undefined),
        configurations().catch(() => []),
      ]);
      return { namespace, role, objects: [...(deployed === undefined ? [] : [deployed]), ...registered] };
    },
    namespaces,
    optedIn: () => once('opted in', async () => (await namespaces()).filter(isOptedIn)),
    podsIn: (of: string) => once(`pods in ${of}`, async () => (await cluster.pods(of)).filter(isThere)),
    secret: (of: string, name: string): Promise<InspectedSecret | undefined> =>
      once(`secret ${of}/${name}`, () => cluster.secret(of, name)),
    configMap: (of: string, name: string) =>
      once(`config map ${of}/${name}`, () => cluster.configMap(of, name)),
    /** Workloads whose pods are to be federated: Falco's, and on a hub falcosidekick's, unless they are opted out. */
    federatedWorkloads: async () => {
      const read = await settings().catch(() => undefined);
      const isHub = read?.ok === true && read.settings.role === 'hub';
      return (await workloads()).filter((one) => {
        const template = readPodTemplate(one, ['spec', 'template']);
        if (template === undefined || template.metadata?.labels?.[injectLabel] === 'disabled') return false;
        return (
          (findFalco(template.spec) ?? (isHub ? findFalcosidekick(template.spec) : undefined)) !== undefined
        );
      });
    },
    /** The settings' file as it is now; undefined: there is none. */
    settings,
    /** Good settings, where there are any, with the image that the webhook takes where they name none. */
    goodSettings: async (): Promise<Settings | undefined> => {
      const read = await settings().catch(() => undefined);
      if (read?.ok !== true) return undefined;
      if (read.settings.rules.image !== undefined) return read.settings;
      // Who may not read pods is told so elsewhere.
      const [image] = await webhookImages().catch(() => []);
      return withImage(read.settings, image);
    },
    webhookImages,
  };
}
