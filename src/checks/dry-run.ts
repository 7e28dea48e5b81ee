/**
 * A Falco pod is created as a dry run. With `failurePolicy: Ignore` the API server says nothing of a call that failed,
 * so what went wrong is told by the time it took and by asking the replicas themselves:
 *
 * | the pod comes back          | replicas, asked through `pods/proxy` | told              |
 * | --------------------------- | ------------------------------------ | ----------------- |
 * | injected, soon              | not asked                            | well              |
 * | injected, late              | not asked                            | slow: a warning   |
 * | unchanged, after the timeout | one answers, late                    | slow              |
 * | unchanged, after the timeout | none answers, or soon                | unreachable       |
 * | unchanged, at once          | there are none, or all refuse        | refused           |
 * | unchanged, at once          | one answers                          | not trusted, or not sent: other lines tell |
 */
import { randomUUID } from 'node:crypto';
import { ClusterError, type InspectedPod } from '../cluster/index.ts';
import { statusAnnotation } from '../federation/names.ts';
import { messageOf } from '../reasons/message-of.ts';
import { remedyFor } from './causes.ts';
import type { Check } from './check.ts';
import { error, type Line, ok, warning } from './line.ts';
import { webhookName } from './names.ts';
import { describeReplicas } from './programs.ts';
import { isReady, portOf } from './replica.ts';
import type { View } from './view.ts';

/** Milliseconds from which an answer is late: it takes some ten. */
const late = 1_000;

/** The webhook's timeout where the configuration does not say it; that of Kubernetes. */
const defaultTimeout = 10;

const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

/** A Falco that PodSecurity and quotas let pass. */
export function probePod(namespace: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'falco-federation-check-', namespace },
    spec: {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'falco',
          image: 'docker.io/falcosecurity/falco:0.44.1',
          args: ['/usr/bin/falco'],
          securityContext: restricted,
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '100m', memory: '64Mi' } },
        },
      ],
    },
  };
}

function reviewOf(namespace: string): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      operation: 'CREATE',
      dryRun: true,
      namespace,
      object: probePod(namespace),
    },
  };
}

interface Asked {
  /** Milliseconds until the answer; undefined: none came. */
  readonly took?: number;
  readonly why: string;
}

/** Asks a replica's webhook port for the very answer that the API server wants. */
async function askDirectly(view: View, pod: InspectedPod, namespace: string): Promise<Asked> {
  const port = portOf(pod, 'webhook');
  if (port === undefined) return { why: 'the pod has no port named webhook' };
  const from = performance.now();
  try {
    const { name } = pod.metadata;
    await view.cluster.postToPod(await view.place(), name, `https:${port}`, 'mutate', reviewOf(namespace));
    return { took: performance.now() - from, why: '' };
  } catch (failure) {
    return { why: messageOf(failure) };
  }
}

interface Missed {
  readonly namespace: string;
  /** Milliseconds. */
  readonly took: number;
  readonly timeout: number;
}

async function whyMissed(view: View, { namespace, took, timeout }: Missed): Promise<Line> {
  const pods = (await view.podsOf('webhook')).filter(isReady);
  const asked = await Promise.all(pods.map((pod) => askDirectly(view, pod, namespace)));
  const at = await view.place();
  const not = (why: string, fix: string): Line =>
    error(
      'dry_run',
      `a Falco pod in namespace ${namespace} is federated (dry run)`,
      `it is not: ${why}`,
      fix,
    );
  const logs = `kubectl --namespace ${at} logs --selector app.kubernetes.io/name=${webhookName} --tail=20`;
  const [soonest] = asked.flatMap((one) => one.took ?? []).toSorted((a, b) => a - b);
  const silent = asked.find((one) => one.took === undefined)?.why ?? 'no replica is ready';
  if (took < timeout * 0.9) {
    return soonest === undefined
      ? not(
          `the call was refused at once, nothing listens: ${silent}`,
          `kubectl --namespace ${at} get pods,endpointslices; ${logs}`,
        )
      : not(
          'the replicas answer, but the API server rejects their answers or does not call them; see the lines on caBundle, certificate and selection',
          'kubectl get --raw /metrics | grep apiserver_admission_webhook_fail_open_count',
        );
  }
  if (soonest !== undefined && soonest >= late) {
    return not(
      `the webhook is too slow. The API server waited ${seconds(timeout)}; asked directly, a replica took ${seconds(soonest)}`,
      `${describeReplicas(at, webhookName)}; ${logs}`,
    );
  }
  const directly =
    soonest === undefined
      ? silent
      : `a replica answers in ${seconds(soonest)}, so the way by the Service is cut`;
  return not(
    `the API server does not reach the webhook's port: no answer for ${seconds(timeout)} (${directly}). A firewall or a NetworkPolicy lets nothing through, or the replicas hang`,
    `kubectl --namespace ${at} get networkpolicy,service,endpointslices   # where the API server reaches nodes only: docs/managed-clusters.md`,
  );
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Statuses with which quotas, policies, other webhooks and missing rights refuse a pod. */
const refused: ReadonlySet<number> = new Set([400, 403, 422]);

async function inNamespace(view: View, namespace: string, timeout: number): Promise<Line | string> {
  const from = performance.now();
  let pod: InspectedPod;
  try {
    pod = await view.cluster.dryRun(namespace, probePod(namespace));
  } catch (failure) {
    if (failure instanceof ClusterError && refused.has(failure.status ?? 0)) return failure.message;
    throw failure;
  }
  const took = performance.now() - from;
  const text = `a Falco pod in namespace ${namespace} is federated (dry run, ${Math.round(took)} ms)`;
  if (took >= late) {
    const asked = performance.now();
    await view.cluster.version();
    const own = performance.now() - asked;
    // Not the webhook's fault.
    if (own >= late / 2) {
      const why = `it took ${seconds(took)}, and the API server itself is slow: it took ${seconds(own)} to tell its version`;
      return warning('dry_run', text, why, "kubectl get --raw '/readyz?verbose'");
    }
  }
  if (pod.metadata.annotations?.[statusAnnotation] === undefined) {
    return await whyMissed(view, { namespace, took, timeout });
  }
  if (took < late) return ok('dry_run', text);
  const at = await view.place();
  const why = `it took ${seconds(took)}; after ${seconds(timeout)} the API server creates it without the webhook`;
  return warning('dry_run', text, why, describeReplicas(at, webhookName));
}

/** Namespaces that are tried where a quota or another webhook refuses the pod. */
const mostTried = 3;

export const dryRun: Check = {
  name: 'dry_run',
  title: 'a Falco pod is federated (dry run)',
  look: async (view) => {
    const [configuration] = await view.configurations();
    const optedIn = await view.optedIn();
    if (configuration === undefined || optedIn.length === 0) return [];
    const seconds = configuration.webhooks?.[0]?.timeoutSeconds ?? defaultTimeout;
    let [refusal, last] = ['', ''];
    for (const { metadata } of optedIn.slice(0, mostTried)) {
      const line = await inNamespace(view, metadata.name, seconds * 1000);
      if (typeof line !== 'string') return [line];
      [refusal, last] = [line, metadata.name];
    }
    const why = `the dry run itself was refused: ${refusal}`;
    return [warning('dry_run', 'a Falco pod is federated (dry run)', why, remedyFor(refusal, last))];
  },
};
