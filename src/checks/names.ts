/** Names of the manifests' objects. */
export const webhookName = 'falco-federation-webhook';
export const forwarderName = 'falco-federation-forwarder';
export const hubSecretName = 'falco-federation-hub';
export const settingsKey = 'federation.yaml';
export const defaultNamespace = 'falco-federation';

/** Brings all objects, and puts right those that were changed; the caBundle stays. */
export const installCommand =
  'kubectl apply --server-side -k manifests/overlays/spoke   # or hub, with your federation.yaml; with Helm: helm upgrade --install falco-federation manifests/chart --namespace falco-federation --reset-then-reuse-values';
