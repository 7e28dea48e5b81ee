/** `check --pre`: whether a cluster can take an installation. Nothing is created: the pod is a dry run. */
import { ClusterError, hasStatus, type Permission } from '../cluster/index.ts';
import { messageOf } from '../reasons/message-of.ts';
import { remedyFor } from './causes.ts';
import type { Check } from './check.ts';
import { probePod } from './dry-run.ts';
import { error, ok, some, warning } from './line.ts';
import { isReady } from './replica.ts';

const rbac = 'rbac.authorization.k8s.io';
const created: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  cluster: {
    '': ['namespaces'],
    [rbac]: ['clusterroles', 'clusterrolebindings'],
    'admissionregistration.k8s.io': ['mutatingwebhookconfigurations'],
  },
  namespace: {
    '': ['configmaps', 'secrets', 'serviceaccounts', 'services'],
    apps: ['deployments', 'statefulsets'],
    [rbac]: ['roles', 'rolebindings'],
    'networking.k8s.io': ['networkpolicies'],
    policy: ['poddisruptionbudgets'],
  },
};

const installPermissions: Check = {
  name: 'install_permissions',
  title: 'you may install',
  look: async ({ cluster, place }) => {
    const namespace = await place();
    const all = Object.entries(created).flatMap(([where, groups]) =>
      Object.entries(groups).flatMap(([group, resources]) =>
        resources.map(
          (resource): Permission => ({
            ...{ group, resource, verb: 'create' },
            ...(where === 'namespace' ? { namespace } : {}),
          }),
        ),
      ),
    );
    const may = await Promise.all(all.map((permission) => cluster.may(permission)));
    const missing = all.filter((_, at) => may[at] !== true).map(({ resource }) => resource);
    const text = `you may install in namespace ${namespace}`;
    if (missing.length === 0) return [ok('install_permissions', text)];
    const why = `you may not create ${some(missing, 20)}`;
    return [
      error('install_permissions', text, why, 'kubectl auth whoami   # ask an administrator to install'),
    ];
  },
};

/** A network without a way from the API server to pods has none to the webhook. The cluster's DNS is nearly everywhere. */
const podsReached: Check = {
  name: 'pods_reached',
  title: 'the API server reaches pods',
  look: async ({ cluster }) => {
    const pods = await cluster.pods('kube-system', 'k8s-app=kube-dns');
    const pod = pods.find((one) => isReady(one) && Reflect.get(one.spec, 'hostNetwork') !== true);
    const ports = (pod?.spec.containers ?? []).flatMap(({ ports: all }) => all ?? []);
    const port =
      ports.find(({ name }) => name === 'metrics') ?? ports.find((one) => one.containerPort > 1_024);
    if (pod === undefined || port === undefined) return [];
    const { name } = pod.metadata;
    const text = `the API server reaches pods (tried: ${name}, port ${port.containerPort})`;
    try {
      await cluster.getFromPod('kube-system', name, String(port.containerPort), 'metrics');
      return [ok('pods_reached', text)];
    } catch (failure) {
      if (hasStatus(failure, 403)) throw failure;
      const said = messageOf(failure);
      if (/refused/.test(said)) return [ok('pods_reached', text)];
      const why = `it cannot: ${said}. If the webhook's port 8443 cannot be reached either, pods are not federated`;
      const fix = `kubectl get --raw /api/v1/namespaces/kube-system/pods/${name}:${port.containerPort}/proxy/metrics   # open the port to pods, set webhookPort, or hostNetwork.enabled: docs/managed-clusters.md`;
      return [warning('pods_reached', text, why, fix)];
    }
  },
};

const podAdmitted: Check = {
  name: 'pod_admitted',
  title: 'a restricted pod is admitted',
  look: async ({ cluster, namespaces, place }) => {
    const wanted = await place();
    const isThere = (await namespaces()).some(({ metadata }) => metadata.name === wanted);
    const namespace = isThere ? wanted : 'default';
    const text = `a pod is admitted in namespace ${namespace} (dry run)`;
    try {
      await cluster.dryRun(namespace, probePod(namespace));
      return [ok('pod_admitted', text)];
    } catch (failure) {
      if (!(failure instanceof ClusterError)) throw failure;
      return [error('pod_admitted', text, failure.message, remedyFor(failure.message, namespace))];
    }
  },
};

const storageClass: Check = {
  name: 'storage_class',
  title: 'the StorageClass of forwarder.persistence',
  look: async ({ cluster }) => {
    const classes = await cluster.storageClasses();
    const standard = classes.find(({ isDefault }) => isDefault);
    if (standard !== undefined) return [ok('storage_class', `StorageClass ${standard.name} is the default`)];
    const why =
      'there is none: on a spoke set forwarder.persistence.storageClass, or leave forwarder.persistence.enabled off, so that events wait in an emptyDir';
    return [warning('storage_class', 'a StorageClass is the default', why, 'kubectl get storageclasses')];
  },
};

export const before: readonly Check[] = [installPermissions, podsReached, podAdmitted, storageClass];
