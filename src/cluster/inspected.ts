/**
 * Objects by the Kubernetes client's types. What the API server sends is taken for what it says it is: it checks its
 * objects itself. Whatever is there has a name; times are texts, whatever the types say.
 */
import type {
  V1DaemonSetStatus,
  V1DeploymentSpec,
  V1DeploymentStatus,
  V1MutatingWebhookConfiguration,
  V1Namespace,
  V1ObjectMeta,
  V1Pod,
  V1PodSpec,
  V1PodTemplateSpec,
} from '@kubernetes/client-node';

interface Named {
  readonly metadata: V1ObjectMeta & { readonly name: string };
}

export type InspectedNamespace = V1Namespace & Named;
export type InspectedPod = V1Pod & Named & { readonly spec: V1PodSpec };
export type InspectedWebhooks = V1MutatingWebhookConfiguration & Named;

/** A DaemonSet, Deployment or StatefulSet: none has all of it. */
export interface InspectedWorkload extends Named {
  readonly spec: Pick<V1DeploymentSpec, 'replicas'> & {
    readonly template: V1PodTemplateSpec & { readonly spec: V1PodSpec };
  };
  readonly status?: Partial<V1DeploymentStatus & V1DaemonSetStatus>;
}
