import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from './files.ts';

test("the patterns of the chart's schema are such as Go's regexp takes: Helm refuses the chart otherwise", () => {
  const patterns = [...textOf('chart/values.schema.json').matchAll(/"pattern": (".*")/g)].map(
    ([, text = '']) => String(JSON.parse(text)),
  );
  assert.ok(patterns.length > 5);
  for (const pattern of patterns) assert.doesNotMatch(pattern, /\(\?(?:[=!]|<[=!])|\\[1-9]/);
});
