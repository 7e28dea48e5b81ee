/** Who refused a pod, by the API server's words, and the command that mends it or shows more. */
interface Refuser {
  readonly words: RegExp;
  readonly fix: (namespace: string) => string;
}

const refusers: readonly Refuser[] = [
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
];

export function remedyFor(message: string, namespace: string): string {
  return (
    refusers.find(({ words }) => words.test(message))?.fix(namespace) ??
    `kubectl --namespace ${namespace} get events --field-selector reason=FailedCreate`
  );
}
