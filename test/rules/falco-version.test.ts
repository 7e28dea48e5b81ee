import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';

const minors: readonly (readonly [text: string | undefined, minor: number | undefined])[] = [
  ['0.44.1', 44],
  ['v0.40.0', 40],
  ['0.44.1-debian', 44],
  ['0.44', 44],
  ['0.37-slim', 37],
  ['falco-0.40.0', 40],
  ['falco0.40.0', 40],
  ['1.0.0-falco0.39.2', 39],
  ['2.3.1-Falco_v0.38.1-r4', 38],
  ...['latest', 'latest-0', 'master', '', '1.2.3', '44', '10.40.0', '0.x', '1.0.0-myfalco0.39.2'].map(
    (text) => [text, undefined] as const,
  ),
  [undefined, undefined],
];

describe("Falco's version in an image's tag", () => {
  for (const [text, minor] of minors) {
    test(`${text}`, () => assert.equal(readFalcoVersion(text).minor, minor));
  }

  test('what is not known counts as new', () => {
    const { minor: _, ...newest } = readFalcoVersion('0.44.1');
    const { minor: __, ...unknown } = readFalcoVersion('latest');
    assert.deepEqual(unknown, newest);
  });
});
