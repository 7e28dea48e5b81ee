import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parseSettings } from '../../src/settings/load.ts';
import { documents } from './documents.ts';

describe('documents that come out of the code', () => {
  for (const [file, text] of documents) {
    test(`${path.basename(file)} is up to date (npm run docs writes it)`, () => {
      if (process.env.UPDATE) writeFileSync(file, text);
      assert.equal(readFileSync(file, 'utf8'), text);
    });
  }

  test('the example settings are accepted', () => {
    const file = path.join(import.meta.dirname, '../../docs/examples/federation.yaml');
    assert.ok(parseSettings(readFileSync(file, 'utf8')).ok);
  });
});
