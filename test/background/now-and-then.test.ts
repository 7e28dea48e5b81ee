import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nowAndThen } from '../../src/background/now-and-then.ts';

test('each thing is told the first time, and again when its time is over', () => {
  const isTime = nowAndThen(3_600_000);
  assert.deepEqual(['a', 'a', 'b', 'a', 'b'].map(isTime), [true, false, true, false, false]);
  const isAlways = nowAndThen(0);
  assert.deepEqual(['a', 'a'].map(isAlways), [true, true]);
});
