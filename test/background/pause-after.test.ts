import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseAfter } from '../../src/background/pause-after.ts';

test('pauses double up to half a minute, and are spread over all their length', () => {
  for (const random of [0, 0.25, 0.999]) {
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5, 6, 7, 5000].map((failures) => pauseAfter(failures, () => random)),
      [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].map((longest) => random * longest),
    );
  }
});
