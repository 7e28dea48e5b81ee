import type { Permission } from '../cluster/index.ts';
import type { Check } from './check.ts';
import { roleCommand } from './install-command.ts';
import { error, type Line, ok, warning } from './line.ts';

interface Needed {
  readonly permission: Omit<Permission, 'namespace'>;
  /** Where it is needed: everywhere, or in the webhook's namespace. */
  readonly where: 'cluster' | 'webhook';
  readonly forWhat: string;
  /** Without it the rest still says whether the cluster is federated. */
  readonly optional?: true;
}

const why = {
  outside: 'Falco in namespaces that have not opted in',
  settings: 'the settings, and what falcosidekick takes from ConfigMaps',
  secrets: 'certificates, and what falcosidekick takes from Secrets',
  asking: 'a test event, and asking a replica directly where the dry run fails',
};

const admission = 'admissionregistration.k8s.io';

/** What whoever runs `check` must be allowed; manifests/check-role has the same as roles. */
export const neededPermissions: readonly Needed[] = [
  needed('cluster', 'list', '', 'namespaces', 'which namespaces have opted in'),
  needed('cluster', 'list', '', 'pods', 'the states of pods'),
  needed('cluster', 'list', 'apps', 'daemonsets', why.outside),
  needed('cluster', 'list', 'apps', 'deployments', why.outside),
  needed('cluster', 'list', 'apps', 'statefulsets', why.outside),
  needed('cluster', 'get', '', 'configmaps', why.settings),
  needed('cluster', 'list', admission, 'mutatingwebhookconfigurations', 'which pods are sent'),
  needed('webhook', 'get', 'apps', 'deployments', "the webhook's replicas"),
  needed('webhook', 'get', 'apps', 'statefulsets', "the forwarder's replicas"),
  needed('webhook', 'list', 'discovery.k8s.io', 'endpointslices', 'the endpoints behind our Services'),
  ...[
    needed('cluster', 'list', '', 'events', 'why pods were not created'),
    needed('cluster', 'get', '', 'secrets', why.secrets),
    needed('cluster', 'create', '', 'pods', 'the dry run of a Falco pod'),
    needed('cluster', 'create', 'authorization.k8s.io', 'subjectaccessreviews', 'what the webhook may do'),
    needed('webhook', 'get', '', 'pods/proxy', 'the state of the replicas'),
    needed('webhook', 'create', '', 'pods/proxy', why.asking),
  ].map((one) => ({ ...one, optional: true as const })),
];

function needed(where: Needed['where'], verb: string, group: string, kind: string, forWhat: string): Needed {
  const [resource = '', subresource] = kind.split('/');
  const permission = { group, resource, verb, ...(subresource === undefined ? {} : { subresource }) };
  return { permission, where, forWhat };
}

export function ruleOf({ group, resource, subresource, verb }: Needed['permission']): string {
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  return `apiGroups ["${group}"], resources ["${kind}"], verbs ["${verb}"]`;
}

export const permissions: Check = {
  name: 'permissions',
  title: 'you have the permissions that check needs',
  look: async ({ cluster, place }) => {
    const webhook = await place();
    const answers = await Promise.all(
      neededPermissions.map(async (one) => ({
        ...one,
        allowed: await cluster.may(
          one.where === 'webhook' ? { ...one.permission, namespace: webhook } : one.permission,
        ),
      })),
    );
    const missing = answers.filter(({ allowed }) => !allowed);
    if (missing.length === 0) return [ok('permissions', 'you have all permissions that check needs')];
    const user = (await cluster.user().catch(() => undefined)) ?? 'YOU';
    const fix = roleCommand(user);
    const told = (all: typeof missing, as: typeof error): readonly Line[] => {
      if (all.length === 0) return [];
      const rules = all.map(
        ({ permission, where }) =>
          `${where === 'webhook' ? `in namespace ${webhook}: ` : ''}${ruleOf(permission)}`,
      );
      const text = `${user} lacks permissions needed for: ${[...new Set(all.map(({ forWhat }) => forWhat))].join('; ')}`;
      return [as('permissions', text, `it requires rules with ${rules.join('; ')}`, fix)];
    };
    return [
      ...told(
        missing.filter(({ optional }) => optional !== true),
        error,
      ),
      ...told(
        missing.filter(({ optional }) => optional === true),
        warning,
      ),
    ];
  },
};
