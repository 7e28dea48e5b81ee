/** The alert rules: what they ask for is there, each has a case and a page, and Prometheus' own tool runs them. */
import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import type { V1MutatingWebhookConfiguration } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { readFlags } from '../../src/commands/serve/flags.ts';
import { reasons } from '../../src/reasons/reasons.ts';
import { silentAfter } from '../../src/receiving/fleet.ts';
import { objectOf, textOf } from '../manifests/files.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { cannotRunPromtool, promtool } from './promtool.ts';
import { alerts, rulesFile } from './rules-file.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/alerts.md'), 'utf8');
const cases = globSync(join(import.meta.dirname, 'cases/*.yaml')).sort();
const names = alerts.map(({ alert }) => alert);

function alertNamed(name: string) {
  return alerts.find(({ alert }) => alert === name) ?? assert.fail(name);
}

/** The codes of a matcher `label=~"a|b"` in an alert's query. */
function codesIn(name: string, label: string): readonly string[] {
  const [, codes = ''] = new RegExp(`${label}=~"([^"]+)"`).exec(alertNamed(name).expr) ?? [];
  return codes.split('|').sort();
}

const errors = Object.entries(reasons).flatMap(([code, { severity }]) =>
  severity === 'error' ? [code] : [],
);

describe('the alert rules', () => {
  for (const { alert, labels, annotations } of alerts) {
    test(`${alert} says how grave it is, what is wrong, and where to read on`, () => {
      assert.match(alert, /^FalcoFederation[A-Z]\w+$/);
      assert.ok(['critical', 'warning'].includes(labels.severity ?? ''));
      assert.deepEqual(Object.keys(annotations), ['summary', 'description', 'runbook_url']);
      for (const text of [annotations.summary, annotations.description])
        assert.match(text ?? '', /[\w)}]\.$/);
      assert.equal(annotations.runbook_url, `docs/alerts.md#${alert.toLowerCase()}`);
    });
  }

  test('each has its section in docs/alerts.md, in the same order, and there are no others', () => {
    assert.deepEqual(
      [...page.matchAll(/^### (\w+)$/gm)].map(([, name]) => name),
      names,
    );
    for (const { alert, labels } of alerts) {
      const [, section = ''] = page.split(`### ${alert}\n`);
      assert.ok(
        section.trimStart().startsWith(`${labels.severity === 'critical' ? 'Critical' : 'Warning'}. `),
        alert,
      );
    }
  });

  test('each fires in one case at least, and is silent in another', () => {
    interface Case {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    }
    const seen = cases
      // Safe: promtool reads them as strictly.
      .flatMap((file) => (parse(readFileSync(file, 'utf8')) as Case).tests)
      .flatMap((one) => one.alert_rule_test)
      .map(({ alertname, exp_alerts }) => `${alertname} ${exp_alerts.length > 0}`);
    for (const name of names) {
      for (const fires of [true, false]) assert.ok(seen.includes(`${name} ${fires}`), `${name} ${fires}`);
    }
  });

  test('those for errors mean every reason that is one', () => {
    const ofTagging = errors.filter((code) => code.startsWith('rules_')).sort();
    assert.deepEqual(codesIn('FalcoFederationTaggingFailed', 'code'), ofTagging);
    const ofShipping = errors.filter((code) => code.startsWith('alerts_')).sort();
    assert.deepEqual(codesIn('FalcoFederationAlertsNotShipped', 'code'), ofShipping);
    const others = errors.filter((code) => !/^(rules|alerts)_/.test(code)).sort();
    assert.deepEqual(codesIn('FalcoFederationAdmissionErrors', 'reason'), others);
  });

  test("the API server's calls are those of our webhooks", () => {
    const [, expression = ''] =
      /name=~"([^"]+)"/.exec(alertNamed('FalcoFederationWebhookNotReached').expr) ?? [];
    const configuration = objectOf<
      V1MutatingWebhookConfiguration & { kind: string; metadata: { name: string } }
    >('base/webhook-configuration.yaml', 'MutatingWebhookConfiguration');
    const [, workloads] = /name: (inject-\S+)/.exec(textOf('components/workloads/webhook.yaml')) ?? [];
    for (const name of [configuration.webhooks?.[0]?.name ?? '', workloads ?? '']) {
      assert.match(name, new RegExp(`^(?:${expression})$`));
    }
  });

  test('a spoke is silent when the receiver says so', () => {
    assert.ok(alertNamed('FalcoFederationSpokeSilent').expr.endsWith(`> ${silentAfter / 1_000}`));
  });

  test('a certificate that is renewed in time is no alert', () => {
    const { certificate } = readFlags(['--tls-secret=a', '--tls-name=b', '--webhook-configuration=c'], {
      POD_NAME: 'd',
      POD_NAMESPACE: 'e',
    });
    assert.ok(certificate.from === 'secret');
    const [, days] = /< (\d+) \* 86400$/.exec(alertNamed('FalcoFederationCertificateExpiring').expr) ?? [];
    // Renewed with a third of its life left.
    assert.ok(Number(days) * 86_400_000 < certificate.shared.lifetime / 3);
  });
});

describe('by promtool', { skip: cannotRunPromtool ?? false }, () => {
  const folder = temporaryFolder('promtool-');

  /** The cases name the rules by a file beside them. */
  function written(name: string, text: string): string {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  }

  test('the rules are rules', () => {
    promtool('check', 'rules', '--lint=all', '--lint-fatal', written('rules.yaml', rulesFile));
  });

  for (const file of cases) {
    test(`they fire when ${file.slice(file.lastIndexOf('/') + 1)} says`, () => {
      promtool('test', 'rules', written(basename(file), readFileSync(file, 'utf8')));
    });
  }

  test('what is scraped without the operator is a configuration', () => {
    // Debian's promtool is built without the discovery of Kubernetes.
    const text = textOf('prometheus/scrape.yaml').replaceAll(
      /kubernetes_sd_configs:\n(?: {6}.*\n)+/g,
      'static_configs: [{targets: [localhost]}]\n',
    );
    assert.equal(text.split('static_configs').length, 3);
    const file = join(folder, 'prometheus.yaml');
    writeFileSync(file, text);
    promtool('check', 'config', file);
  });
});
