import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { documentsOf } from '../manifests/files.ts';
import { dashboards, queriesOf } from './dashboard.ts';

test('the component brings both dashboards, with the label by which Grafana finds them', () => {
  assert.equal(dashboards.size, 2);
  // Safe: compared as a whole.
  const [{ configMapGenerator }] = documentsOf('chart/files/dashboards/kustomization.yaml') as [
    { configMapGenerator: [{ files: string[]; options: { labels: unknown } }] },
  ];
  assert.deepEqual(configMapGenerator[0].files.toSorted(), [...dashboards.keys()]);
  assert.deepEqual(configMapGenerator[0].options.labels, { grafana_dashboard: '1' });
});

for (const [file, { uid, panels, templating, ...dashboard }] of dashboards) {
  describe(file, () => {
    test('has one name, and each panel one id and one title', () => {
      assert.equal(`${uid}.json`, file);
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
      assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length);
    });

    test('no panels lie over each other, and none over the edge', () => {
      const taken = new Map<string, string>();
      for (const { title, gridPos } of panels) {
        assert.ok(gridPos.x + gridPos.w <= 24, title);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            assert.equal(taken.get(`${x},${y}`), undefined, title);
            taken.set(`${x},${y}`, title);
          }
        }
      }
    });

    test('every variable that is used is there, and every one that is there is used', () => {
      const queries = queriesOf({ uid, panels, templating, ...dashboard });
      const used = new Set(
        [...JSON.stringify(panels).matchAll(/\$\{?(?!__)(\w+)/g)].map(([, name = '']) => name),
      );
      assert.deepEqual([...used].sort(), templating.list.map(({ name }) => name).sort());
      for (const { expr } of queries) assert.doesNotMatch(expr, /\$/);
    });
  });
}
