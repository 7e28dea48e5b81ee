import { ourWebhooks } from '../cluster/index.ts';
import type { Check } from './check.ts';
import { type InspectedWebhook, otherwise } from './expected-selection.ts';
import { error, type Line, ok, warning } from './line.ts';

const install =
  'kubectl apply --server-side -k manifests/overlays/spoke   # or hub, with your federation.yaml';
const applyAgain = `${install}; the caBundle stays`;

function aboutPods(name: string, webhook: InspectedWebhook | undefined): readonly Line[] {
  const text = `MutatingWebhookConfiguration ${name} selects Falco's pods`;
  if (webhook === undefined) {
    return [
      error('webhook_selection', text, `it has no webhook ${ourWebhooks[0]}: no pod is sent`, applyAgain),
    ];
  }
  const others = otherwise(webhook);
  const lines: Line[] = [
    others.length === 0
      ? ok('webhook_selection', text)
      : error(
          'webhook_selection',
          text,
          `not as this version does: ${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} different, so pods may be missed, or others held up`,
          applyAgain,
        ),
  ];
  if (webhook.failurePolicy === 'Fail') {
    const fix = `kubectl patch mutatingwebhookconfiguration ${name} --type=strategic --patch '{"webhooks":[{"name":"${webhook.name}","failurePolicy":"Ignore"}]}'`;
    const why = 'without the webhook no Falco pod is created at all';
    lines.push(warning('failure_policy', `failurePolicy of ${webhook.name} is Fail`, why, fix));
  }
  return lines;
}

/** That there is one configuration, and that it sends what it should. */
export const webhookConfiguration: Check = {
  name: 'webhook_configuration',
  title: 'the webhook is registered',
  look: async ({ configurations }) => {
    const found = await configurations();
    const [first, ...more] = found;
    if (first === undefined) {
      const why = `no MutatingWebhookConfiguration has a webhook ${ourWebhooks[0]}: new pods are not federated`;
      return [error('webhook_configuration', 'the webhook is registered', why, install)];
    }
    const names = found.map(({ metadata }) => metadata.name);
    const registered =
      more.length === 0
        ? ok('webhook_configuration', `the webhook is registered: MutatingWebhookConfiguration ${names[0]}`)
        : error(
            'webhook_configuration',
            `the webhook is registered: ${names.join(', ')}`,
            'more than once: each pod is sent to all of them',
            `kubectl delete mutatingwebhookconfiguration ${more[0]?.metadata.name}   # the one that is not yours`,
          );
    const webhook = first.webhooks?.find(({ name }) => name === ourWebhooks[0]);
    return [registered, ...aboutPods(first.metadata.name, webhook)];
  },
};
