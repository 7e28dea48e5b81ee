/** Names of the manifests' objects. */
export const webhookName = 'falco-federation-webhook';
export const forwarderName = 'falco-federation-forwarder';
export const receiverName = 'falco-federation-receiver';
/** Of a spoke's forwarder, and of a hub's receiver: as `certs` makes them. */
export const hubSecretName = 'falco-federation-hub';
export const receiverSecretName = 'falco-federation-hub-tls';
export const settingsKey = 'federation.yaml';
export const defaultNamespace = 'falco-federation';
