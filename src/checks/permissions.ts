import type { Permission } from '../cluster/index.ts';
import type { Check } from './check.ts';
import { roleCommand } from './install-command.ts';
import { error, ok, warning } from './line.ts';

interface Needed {
  readonly permission: Omit<Permission, 'namespace'>;
  /** Where it is needed: everywhere, or in the webhook's namespace. */
  readonly where: 'cluster' | 'webhook';
  readonly forWhat: string;
  /** Without it the rest still says whether the cluster is federated. */
  readonly optional?: true;
}

const read = (
  group: string,
  resource: string,
  verb: string,
  where: Needed['where'],
  forWhat: string,
): Needed => ({
  permission: { group, resource, verb },
  where,
  forWhat,
});

/** What whoever runs `check` must be allowed; manifests/check-role has the same as roles. */
export const neededPermissions: readonly Needed[] = [
  read('', 'namespaces', 'list', 'cluster', 'which namespaces have opted in'),
  read('', 'pods', 'list', 'cluster', 'the states of pods'),
  read('apps', 'daemonsets', 'list', 'cluster', 'Falco in namespaces that have not opted in'),
  read('apps', 'deployments', 'list', 'cluster', 'Falco in namespaces that have not opted in'),
  read('apps', 'statefulsets', 'list', 'cluster', 'Falco in namespaces that have not opted in'),
  read('', 'configmaps', 'get', 'cluster', "the settings, and falco.yaml in Falco's namespaces"),
  read(
    'admissionregistration.k8s.io',
    'mutatingwebhookconfigurations',
    'list',
    'cluster',
    'which pods are sent',
  ),
  read('apps', 'deployments', 'get', 'webhook', "the webhook's replicas"),
  read('apps', 'statefulsets', 'get', 'webhook', "the forwarder's replicas"),
  read('discovery.k8s.io', 'endpointslices', 'list', 'webhook', "the endpoints behind the webhook's Service"),
  { ...read('', 'events', 'list', 'cluster', 'why pods were not created'), optional: true },
  {
    ...read('', 'secrets', 'get', 'cluster', 'certificates, and what falcosidekick takes from Secrets'),
    optional: true,
  },
  { ...read('', 'pods', 'create', 'cluster', 'the dry run of a Falco pod'), optional: true },
  {
    ...read('authorization.k8s.io', 'subjectaccessreviews', 'create', 'cluster', 'what the webhook may do'),
    optional: true,
  },
  {
    permission: { group: '', resource: 'pods', subresource: 'proxy', verb: 'get' },
    where: 'webhook',
    forWhat: 'what the replicas tell of themselves',
    optional: true,
  },
  {
    permission: { group: '', resource: 'pods', subresource: 'proxy', verb: 'create' },
    where: 'webhook',
    forWhat: 'a test event, and asking a replica directly where the dry run fails',
    optional: true,
  },
];

export function ruleOf({ group, resource, subresource, verb }: Needed['permission']): string {
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  return `apiGroups ["${group}"], resources ["${kind}"], verbs ["${verb}"]`;
}

export const permissions: Check = {
  name: 'permissions',
  title: 'you may look at what check looks at',
  look: async ({ cluster, place }) => {
    const webhook = await place();
    const answers = await Promise.all(
      neededPermissions.map(async (needed) => ({
        ...needed,
        allowed: await cluster.may(
          needed.where === 'webhook' ? { ...needed.permission, namespace: webhook } : needed.permission,
        ),
      })),
    );
    const missing = answers.filter(({ allowed }) => !allowed);
    if (missing.length === 0) return [ok('permissions', 'you may look at all that check looks at')];
    const user = (await cluster.user().catch(() => undefined)) ?? 'YOU';
    const fix = roleCommand(user);
    const [needed, optional] = [false, true].map((is) =>
      missing.filter((one) => (one.optional ?? false) === is),
    );
    const textOf = (all: typeof missing): string =>
      `${user} may not look at ${[...new Set(all.map(({ forWhat }) => forWhat))].join('; ')}`;
    const whyOf = (all: typeof missing): string => {
      const rules = all.map(
        ({ permission, where }) =>
          `${where === 'webhook' ? `in namespace ${webhook}: ` : ''}${ruleOf(permission)}`,
      );
      return `it takes rules with ${rules.join('; ')}`;
    };
    return [
      ...(needed === undefined || needed.length === 0
        ? []
        : [error('permissions', textOf(needed), whyOf(needed), fix)]),
      ...(optional === undefined || optional.length === 0
        ? []
        : [warning('permissions', textOf(optional), whyOf(optional), fix)]),
    ];
  },
};
