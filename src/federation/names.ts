/** Names that users and other systems see. They are contracts: changing one breaks installed clusters. */

/** Version of this program; the status annotation and the default image carry it. */
export const version = '0.1.0';

export const prefix = 'falco-federation.io/';

/** On a namespace `enabled` opts in (the API server selects by it); on a pod `disabled` opts that pod out. */
export const injectLabel = `${prefix}inject`;

/** Namespaces that the webhook configurations leave out whatever their labels: they must start without us. */
export const neverInjected: readonly string[] = ['kube-system', 'falco-federation'];

/** Written as a label on every pod changed, and read as an annotation that overrides `cluster`. */
export const clusterKey = `${prefix}cluster`;

/** Annotation `k=v,k=v` that overrides `labels`. */
export const labelsAnnotation = `${prefix}labels`;

/** Annotation `a,b` that overrides `tags`. */
export const tagsAnnotation = `${prefix}tags`;

/**
 * Annotation that says which Falco an image holds, `0.44.1`: for images by digest, with numbers of their own, or
 * without any (`latest`), whose tags do not tell what Falco understands.
 */
export const falcoVersionAnnotation = `${prefix}falco-version`;

/** Annotation written on every pod changed: JSON with version, cluster, settings hash, what was added and found. */
export const statusAnnotation = `${prefix}status`;

/** Volume in a Falco pod, and where every container sees it. */
export const volumeName = 'falco-federation';
export const volumePath = '/etc/falco-federation';

/** Volume with our own program, for the init container that runs it in Falco's image; no other container sees it. */
export const toolsVolumeName = 'falco-federation-tools';
export const toolsVolumePath = '/falco-federation-tools';

/** Empty volume where a service account's token would be mounted in our containers, and that place. */
export const noTokenVolumeName = 'falco-federation-no-token';
export const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Volume in memory that Falco writes its alerts into, where Falco and what ships them see it, and the file in it. */
export const alertsVolumeName = 'falco-federation-alerts';
export const alertsPath = '/var/lib/falco-federation-alerts';
export const alertsFile = `${alertsPath}/live/alerts.jsonl`;

export const placeCopierContainer = 'falco-federation-place-copier';
export const copyRulesContainer = 'falco-federation-copy-rules';
export const tagRulesContainer = 'falco-federation-tag-rules';
export const followRulesContainer = 'falco-federation-follow-rules';
export const shipAlertsContainer = 'falco-federation-ship-alerts';

/** All that we may put into a Falco pod. */
export const ownContainers: ReadonlySet<string> = new Set([
  placeCopierContainer,
  copyRulesContainer,
  tagRulesContainer,
  followRulesContainer,
  shipAlertsContainer,
]);

/** Falco's variables in our containers: under names of their own, so that none of them changes what ours do. */
export const falcoVariablePrefix = 'FALCO_ENV_';

/** The webhook's container in its own pod, whose image is put into others. */
export const webhookContainer = 'webhook';
