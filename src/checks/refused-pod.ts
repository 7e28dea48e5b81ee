/** What keeps pods from being created or scheduled, by the API server's words, and the command that fixes it or shows more. */
import type { View } from './view.ts';

interface Cause {
  readonly words: RegExp;
  readonly fix: (namespace: string) => string;
}

const causes: readonly Cause[] = [
  {
    words: /exceeded quota|failed quota/,
    fix: (namespace) => `kubectl --namespace ${namespace} describe resourcequota`,
  },
  {
    words: /PodSecurity/,
    fix: (namespace) =>
      `kubectl label namespace ${namespace} --overwrite pod-security.kubernetes.io/enforce=privileged   # Falco's pods are privileged by design`,
  },
  {
    words: /\b(maximum|minimum) (cpu|memory)|limit to request ratio/,
    fix: (namespace) => `kubectl --namespace ${namespace} describe limitrange`,
  },
  {
    words: /being terminated/,
    fix: (namespace) => `kubectl get namespace ${namespace} --output yaml   # status: what holds it up`,
  },
  {
    words: /cannot create resource/,
    fix: (namespace) => `kubectl auth can-i create pods --namespace ${namespace}`,
  },
  {
    words: /denied the request|ValidatingAdmissionPolicy/,
    fix: () => 'kubectl get validatingwebhookconfigurations,validatingadmissionpolicies',
  },
  {
    words: /PersistentVolumeClaim/i,
    fix: (namespace) => `kubectl --namespace ${namespace} get persistentvolumeclaims,storageclasses`,
  },
];

export function causeOf(message: string): Cause | undefined {
  return causes.find(({ words }) => words.test(message));
}

export function remedyFor(message: string, namespace: string): string {
  const events = `kubectl --namespace ${namespace} get events --field-selector reason=FailedCreate`;
  return causeOf(message)?.fix(namespace) ?? events;
}

/** Why a workload's pods were not created, by its Events. Who may not list these still learns what is missing. */
export async function refusalOf(
  { cluster }: View,
  namespace: string,
  { kind, name }: { readonly kind: string; readonly name: string },
): Promise<string | undefined> {
  const failures = await cluster.failedCreates(namespace).catch(() => []);
  // A Deployment's pods are made by its ReplicaSet, `falco-5d9f7c`.
  const isOf = (of: { readonly kind: string; readonly name: string }): boolean =>
    kind === 'Deployment'
      ? of.kind === 'ReplicaSet' && of.name.startsWith(`${name}-`)
      : of.kind === kind && of.name === name;
  return failures.findLast(({ of }) => isOf(of))?.message;
}
