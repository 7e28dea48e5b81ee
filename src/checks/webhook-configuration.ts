import { type InspectedWebhooks, ourWebhooks } from '../cluster/index.ts';
import type { Settings } from '../settings/schema.ts';
import type { Check } from './check.ts';
import { type InspectedWebhook, otherwise } from './expected-selection.ts';
import { configurationCommand, type Installed, installCommand } from './install-command.ts';
import { error, type Line, ok, warning } from './line.ts';
import { webhookName } from './names.ts';
import type { View } from './view.ts';

/** Whether a webhook selects as this version does. */
function selection(text: string, webhook: InspectedWebhook, of: 'pods' | 'workloads', fix: string): Line {
  const others = otherwise(webhook, of);
  if (others.length === 0) return ok('webhook_selection', text);
  const why = `not as this version does: ${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} different, so ${of} may be missed, or others delayed`;
  return error('webhook_selection', text, why, fix);
}

function failurePolicy(name: string, webhook: InspectedWebhook): readonly Line[] {
  if (webhook.failurePolicy !== 'Fail') return [];
  const fix = `kubectl patch mutatingwebhookconfiguration ${name} --type=strategic --patch '{"webhooks":[{"name":"${webhook.name}","failurePolicy":"Ignore"}]}'`;
  const why = 'without the webhook no Falco pod is created at all';
  return [warning('failure_policy', `failurePolicy of ${webhook.name} is Fail`, why, fix)];
}

function aboutPods(name: string, webhook: InspectedWebhook | undefined, fix: string): readonly Line[] {
  const text = `MutatingWebhookConfiguration ${name} selects Falco's pods`;
  if (webhook === undefined) {
    const why = `it has no webhook ${ourWebhooks[0]}: no pod is sent`;
    return [error('webhook_selection', text, why, fix)];
  }
  return [selection(text, webhook, 'pods', fix), ...failurePolicy(name, webhook)];
}

/** The webhook of templates, which goes together with `injectAt: workload`. */
function aboutWorkloads(
  name: string,
  webhook: InspectedWebhook | undefined,
  injectAt: Settings['injectAt'] | undefined,
  fix: string,
  { namespace }: Installed,
): readonly Line[] {
  const text = `MutatingWebhookConfiguration ${name} selects Falco's workloads`;
  if (webhook === undefined) {
    if (injectAt !== 'workload') return [];
    const why = `the settings say injectAt: workload, and it has no webhook ${ourWebhooks[1]}: templates stay as they are, pods are changed as they are created`;
    const edit = `kubectl --namespace ${namespace} edit configmap/${webhookName}   # injectAt: pod; or add components/workloads to your kustomization`;
    return [error('webhook_selection', text, why, edit)];
  }
  return [selection(text, webhook, 'workloads', fix), ...failurePolicy(name, webhook)];
}

/** What there is to say of the configurations that have a webhook of ours. */
export function aboutConfigurations(
  [first, ...more]: readonly InspectedWebhooks[],
  injectAt: Settings['injectAt'] | undefined,
  installed: Installed,
): readonly Line[] {
  if (first === undefined) {
    const why = `no MutatingWebhookConfiguration has a webhook ${ourWebhooks[0]}: new pods are not federated`;
    return [error('webhook_configuration', 'the webhook is registered', why, installCommand(installed))];
  }
  const { name } = first.metadata;
  const fix = configurationCommand(installed, name);
  const registered =
    more.length === 0
      ? ok('webhook_configuration', `the webhook is registered: MutatingWebhookConfiguration ${name}`)
      : error(
          'webhook_configuration',
          `the webhook is registered: ${[first, ...more].map(({ metadata }) => metadata.name).join(', ')}`,
          'registered more than once: each pod is sent to all of them',
          `kubectl delete mutatingwebhookconfiguration ${more[0]?.metadata.name}   # the one that is not yours`,
        );
  const [pods, workloads] = ourWebhooks.map((ours) => first.webhooks?.find((one) => one.name === ours));
  return [
    registered,
    ...aboutPods(name, pods, fix),
    ...aboutWorkloads(name, workloads, injectAt, fix, installed),
  ];
}

/** Milliseconds between two looks. */
const lookAgainAfter = 1_000;

/** A change that is undone again and again: each time it is looked at, it may look well. */
async function undone({ configurations, cluster, pause }: View): Promise<readonly Line[]> {
  const before = await configurations();
  if (before.length === 0) return [];
  await pause(lookAgainAfter);
  const after = await cluster.webhookConfigurations();
  return before.flatMap(({ metadata: { name, generation = 0 } }) => {
    const now = after.find(({ metadata }) => metadata.name === name)?.metadata;
    const changes = (now?.generation ?? generation) - generation;
    // One is an installation, or the replicas' own.
    if (changes < 2) return [];
    const managers = [...new Set((now?.managedFields ?? []).flatMap(({ manager }) => manager ?? []))];
    const why = `it was changed ${changes} times within a second: another client keeps reverting what the webhook writes (field managers: ${managers.join(', ')})`;
    const fix = `kubectl get mutatingwebhookconfiguration ${name} --output yaml --show-managed-fields   # who only empties fields is in the audit log alone`;
    return [error('webhook_configuration', `MutatingWebhookConfiguration ${name} is stable`, why, fix)];
  });
}

/** That there is one configuration, and that it sends what it should. */
export const webhookConfiguration: Check = {
  name: 'webhook_configuration',
  title: 'the webhook is registered',
  look: async (view) => {
    const { configurations, goodSettings, installed } = view;
    const [found, settings, by] = await Promise.all([configurations(), goodSettings(), installed()]);
    return [...aboutConfigurations(found, settings?.injectAt, by), ...(await undone(view))];
  },
};
