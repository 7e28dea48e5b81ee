/** Whether the replicas may still do what they will have to: without it they run on, until a certificate ends. */
import { ClusterError, type Permission } from '../cluster/index.ts';
import type { Check } from './check.ts';
import { installCommand } from './install-command.ts';
import { error, ok, some } from './line.ts';
import { webhookName } from './names.ts';
import { certificateSecretOf } from './serving-certificate.ts';
import type { View } from './view.ts';

interface Needed extends Permission {
  readonly forWhat: string;
}

async function neededBy(view: View, namespace: string): Promise<readonly Needed[]> {
  const forWhat = 'namespaces that opt in go unnoticed';
  const always: Needed[] = ['list', 'watch'].map((verb) => ({
    group: '',
    resource: 'namespaces',
    verb,
    forWhat,
  }));
  const [[pod], [configuration]] = await Promise.all([view.podsOf('webhook'), view.configurations()]);
  const secret = certificateSecretOf(pod);
  if (secret?.own !== true || configuration === undefined) return always;
  const bundle = {
    ...{ group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations', verb: 'patch' },
    ...{ name: configuration.metadata.name, forWhat: 'the caBundle is not kept up to date' },
  };
  const own = ['get', 'update'].map((verb) => ({
    ...{ group: '', resource: 'secrets', verb, namespace, name: secret.name },
    forWhat: 'the certificate is not renewed',
  }));
  return [...always, bundle, ...own];
}

export const webhookPermissions: Check = {
  name: 'webhook_permissions',
  title: 'what the webhook may do',
  look: async (view) => {
    const namespace = await view.place();
    const deployment = await view.workload('webhook');
    if (deployment === undefined) return [];
    const account: unknown = Reflect.get(deployment.spec.template.spec, 'serviceAccountName');
    const name = typeof account === 'string' ? account : webhookName;
    try {
      const answers = await Promise.all(
        (await neededBy(view, namespace)).map(async ({ forWhat, ...permission }) => ({
          ...{ ...permission, forWhat },
          allowed: await view.cluster.accountMay({ namespace, name }, permission),
        })),
      );
      const missing = answers.filter(({ allowed }) => !allowed);
      const text = `ServiceAccount ${namespace}/${name} may do what the webhook does`;
      if (missing.length === 0) return [ok('webhook_permissions', text)];
      const what = some([...new Set(missing.map(({ verb, resource }) => `${verb} ${resource}`))], 5);
      const why = `it may not ${what}: ${[...new Set(missing.map(({ forWhat }) => forWhat))].join('; ')}`;
      return [error('webhook_permissions', text, why, installCommand(await view.installed()))];
    } catch (failure) {
      // Told as a permission of whoever looks.
      if (failure instanceof ClusterError && failure.status === 403) return [];
      throw failure;
    }
  },
};
