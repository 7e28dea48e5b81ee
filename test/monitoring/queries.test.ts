/** What alerts and dashboards ask for is what the programs expose. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { temporaryFolder } from '../temporary-folder.ts';
import { askedBy } from './asked-series.ts';
import { type Dashboard, dashboards, queriesOf } from './dashboard.ts';
import { targetLabels as added, type Exposed, exposedMetrics } from './exposed-metrics.ts';
import { cannotRunPromtool, promtool } from './promtool.ts';
import { alerts, recordings } from './rules-file.ts';

/** Prometheus adds the one, and who has several clusters in it the other. */
const targetLabels = new Set([...added, 'instance', 'cluster']);

/** What rules record has the labels that its own query groups by. */
async function everything(): Promise<Exposed> {
  const recorded = recordings.map(({ record, expr }) => [record, new Set(askedBy(expr).groupedBy)] as const);
  return new Map([...(await exposedMetrics()), ...recorded]);
}

const exposed = await everything();

/** What is wrong with a query: metrics that nobody exposes, and labels that they do not have. */
function wrongIn(query: string): readonly string[] {
  const { series, groupedBy } = askedBy(query);
  const labels = new Set(series.flatMap(({ metric }) => [...(exposed.get(metric) ?? [])]));
  return [
    ...series.filter(({ metric }) => !exposed.has(metric)).map(({ metric }) => metric),
    ...series.flatMap(({ metric, labels: asked }) =>
      asked
        .filter((label) => exposed.get(metric)?.has(label) !== true && !targetLabels.has(label))
        .map((label) => `${metric}{${label}}`),
    ),
    ...groupedBy
      .filter((label) => !labels.has(label) && !targetLabels.has(label))
      .map((label) => `by (${label})`),
  ];
}

test('what is asked for is read right, and what is wrong is seen', () => {
  assert.deepEqual(
    askedBy('sum by (a, b) (rate(x_total{c="}",d=~"e|f"}[5m] offset 1h)) / on (g) group_left () y > 2 * 1e3'),
    {
      series: [
        { metric: 'x_total', labels: ['c', 'd'] },
        { metric: 'y', labels: [] },
      ],
      groupedBy: ['a', 'b', 'g'],
    },
  );
  const good = 'sum by (reason) (falco_federation_admission_decisions_total{reason="injected",pod="a"})';
  assert.deepEqual(wrongIn(good), []);
  assert.deepEqual(wrongIn(good.replaceAll('reason', 'code')), [
    'falco_federation_admission_decisions_total{code}',
    'by (code)',
  ]);
  assert.deepEqual(wrongIn('falco_federation_admission_decision_total'), [
    'falco_federation_admission_decision_total',
  ]);
});

describe('rules ask for what is exposed', () => {
  for (const { expr, ...rule } of [...alerts, ...recordings]) {
    test('alert' in rule ? rule.alert : rule.record, () => {
      assert.ok(askedBy(expr).series.length > 0);
      assert.deepEqual(wrongIn(expr), []);
    });
  }

  test('and their texts name labels that the result has', () => {
    for (const { alert, expr, annotations } of alerts) {
      const { groupedBy, series } = askedBy(expr);
      const labels = [
        ...groupedBy,
        ...(recordings.some(({ record }) => record === series[0]?.metric) ? ['env'] : []),
      ];
      for (const [, label = ''] of Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g))
        assert.ok(labels.includes(label), `${alert}: ${label}`);
    }
  });
});

function askedByPanels(dashboard: Dashboard) {
  return queriesOf(dashboard).map(({ panel, expr, legend }) => ({
    panel,
    expr,
    legend,
    asked: askedBy(expr),
  }));
}

for (const [file, dashboard] of dashboards) {
  describe(`${file} asks for what is exposed`, () => {
    for (const { panel, expr, legend, asked } of askedByPanels(dashboard)) {
      test(`${panel}: ${expr}`, () => {
        assert.ok(asked.series.length > 0);
        assert.deepEqual(wrongIn(expr), []);
        const labels = new Set([
          ...asked.groupedBy,
          ...asked.series.flatMap(({ metric }) => [...(exposed.get(metric) ?? [])]),
        ]);
        for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g)) assert.ok(labels.has(label), label);
      });
    }
  });
}

describe('by promtool', { skip: cannotRunPromtool ?? false }, () => {
  const folder = temporaryFolder('promtool-');

  for (const [name, dashboard] of dashboards) {
    test(`the queries of ${name} are PromQL`, () => {
      const rules = queriesOf(dashboard).map(({ expr }, at) => ({ record: `panel:${at}`, expr }));
      assert.ok(rules.length > 5);
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, stringify({ groups: [{ name, rules }] }));
      promtool('check', 'rules', file);
    });
  }
});
