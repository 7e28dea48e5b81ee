/** Names of the manifests' objects. */
export const webhookName = 'falco-federation-webhook';
export const forwarderName = 'falco-federation-forwarder';
export const hubSecretName = 'falco-federation-hub';
export const settingsKey = 'federation.yaml';
export const defaultNamespace = 'falco-federation';
