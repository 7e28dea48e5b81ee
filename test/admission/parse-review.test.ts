/** Parsing without managed fields: the same as parsing the whole and dropping them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastCheck from 'fast-check';
import { parseReview } from '../../src/admission/parse-review.ts';
import { recordedReviews } from '../injection/reviews.ts';
import { rounds } from '../rounds.ts';

/** The whole, parsed, with an empty list in place of the first one that is called so, as they stand in the text. */
function plainly(body: string): unknown {
  let cut = false;
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => {
        if (key !== 'managedFields' || !Array.isArray(field) || cut) return [key, visit(field)];
        cut = true;
        return [key, []];
      }),
    );
  };
  return visit(JSON.parse(body));
}

test('recorded reviews', (t) => {
  for (const { name, text } of recordedReviews(t)) assert.deepEqual(parseReview(text), plainly(text), name);
});

test('names of fields with brackets and quotes in them: parsed as a whole, so nothing is lost', () => {
  for (const odd of ['a]b', ']', '"]"', '\\"]}', ']}},"x":[', '["a"]', '],"managedFields":[']) {
    const review = {
      metadata: { managedFields: [{ fieldsV1: { [odd]: {} } }], name: 'a' },
      spec: { b: [odd] },
    };
    const body = JSON.stringify(review);
    const parsed = parseReview(body);
    assert.ok(
      [JSON.stringify(plainly(body)), body].includes(JSON.stringify(parsed)),
      `${odd}: ${JSON.stringify(parsed)}`,
    );
  }
});

test('any JSON with such lists anywhere: all the rest is there', () => {
  const text = fastCheck.oneof(
    fastCheck.string({ maxLength: 6 }),
    fastCheck.constantFrom(']', '"', '\\', '"managedFields":[', ']}', '],"a":['),
  );
  const { value } = fastCheck.letrec((tie) => ({
    value: fastCheck.oneof(
      { depthSize: 'small' },
      text,
      fastCheck.constantFrom(null, 1),
      fastCheck.array(tie('value'), { maxLength: 3 }),
      fastCheck.dictionary(
        fastCheck.oneof(text, fastCheck.constant('managedFields')).filter((key) => key !== '__proto__'),
        tie('value'),
        { maxKeys: 3 },
      ),
    ),
  }));
  const within = (body: string, parsed: unknown): boolean =>
    [JSON.stringify(plainly(body)), JSON.stringify(JSON.parse(body))].includes(JSON.stringify(parsed));
  fastCheck.assert(
    fastCheck.property(value, (one) => within(JSON.stringify(one), parseReview(JSON.stringify(one)))),
    rounds(1_000),
  );
});

test('what is not JSON is refused as JSON.parse does', () => {
  for (const body of [
    '',
    '{',
    '{"managedFields":[',
    '{"managedFields":[}',
    '{"managedFields":[]',
    '{"a":]',
  ]) {
    assert.throws(() => parseReview(body), SyntaxError, body);
  }
});
