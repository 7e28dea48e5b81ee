/** The dashboards, as far as tests look at them. */
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { manifests, textOf } from '../manifests/files.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: so Grafana spells a variable
const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') });

const gridPos = z.strictObject({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
});

const row = z.strictObject({
  id: z.int(),
  type: z.literal('row'),
  title: z.string().min(1),
  collapsed: z.literal(false),
  gridPos,
  panels: z.tuple([]),
});

const panel = z.strictObject({
  id: z.int(),
  type: z.enum(['timeseries', 'stat', 'table', 'bargauge']),
  title: z.string().min(1),
  description: z.string().optional(),
  datasource,
  gridPos,
  fieldConfig: z.strictObject({
    defaults: z.looseObject({ unit: z.string() }),
    overrides: z.array(z.looseObject({ matcher: z.looseObject({ id: z.literal('byName') }) })),
  }),
  options: z.looseObject({}).optional(),
  transformations: z.array(z.looseObject({ id: z.string() })).optional(),
  targets: z
    .array(
      z.strictObject({
        datasource,
        refId: z.string().length(1),
        expr: z.string().min(1),
        legendFormat: z.string(),
        instant: z.boolean().optional(),
        range: z.boolean().optional(),
        format: z.literal('table').optional(),
      }),
    )
    .min(1),
});

const variable = z.looseObject({
  name: z.string(),
  type: z.enum(['datasource', 'query']),
  query: z.union([z.string(), z.strictObject({ query: z.string(), refId: z.string() })]),
});

/** What Grafana reads, as strictly as we write it. */
const dashboardSchema = z.looseObject({
  uid: z.string().max(40),
  title: z.string().min(1),
  schemaVersion: z.literal(39),
  templating: z.strictObject({ list: z.array(variable) }),
  panels: z.array(z.discriminatedUnion('type', [row, panel])),
});

export type Dashboard = z.infer<typeof dashboardSchema>;

const folder = 'chart/files/dashboards';

/** By file name. Throws where one is not shaped as it should be. */
export const dashboards: ReadonlyMap<string, Dashboard> = new Map(
  globSync(`${manifests}/${folder}/*.json`)
    .sort()
    .map((file) => [
      basename(file),
      dashboardSchema.parse(JSON.parse(textOf(`${folder}/${basename(file)}`))),
    ]),
);

export interface Query {
  readonly panel: string;
  /** PromQL, with values for Grafana's variables. */
  readonly expr: string;
  readonly legend: string;
}

function filledIn(expr: string): string {
  return expr
    .replaceAll(/\$__(?:rate_interval|range)\b/g, '5m')
    .replaceAll(/\$(?:env|spoke|cluster|namespace)\b/g, '.*');
}

/** What the panels and variables ask Prometheus for. */
export function queriesOf({ panels, templating }: Dashboard): readonly Query[] {
  const ofPanels = panels.flatMap((one) =>
    one.type === 'row'
      ? []
      : one.targets.map(({ expr, legendFormat }) => ({
          panel: one.title,
          expr: filledIn(expr),
          legend: legendFormat,
        })),
  );
  const ofVariables = templating.list.flatMap(({ name, query }) => {
    const text = typeof query === 'string' ? '' : query.query;
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(text) ?? [];
    return metric === undefined ? [] : [{ panel: name, expr: `sum by (${label}) (${metric})`, legend: '' }];
  });
  return [...ofPanels, ...ofVariables];
}
