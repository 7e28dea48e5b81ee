/** What is added to an event, and that nothing else of it changes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { completeEvent, type Marks } from '../../src/events/complete-event.ts';
import { readEvent } from '../../src/events/event.ts';
import { membersOf } from '../../src/events/json-members.ts';
import { rounds } from '../rounds.ts';

const marks: Marks = { labels: { env: 'staging', team: 'blue' }, tags: ['staging'] };

function completed(body: string, given = marks): string {
  const event = readEvent(body);
  assert.ok(!('reason' in event), JSON.stringify(event));
  return completeEvent(event.text, event.fields, given);
}

/** An event with more members behind the ones that it needs. */
function event(more: string): string {
  return `{"rule": "R", "time": "2026-01-01T00:00:00Z", "priority": "Notice"${more}}`;
}

describe('an event is completed', () => {
  const cases: readonly (readonly [name: string, more: string, expected: string])[] = [
    [
      'fields and tags that are not there',
      '',
      `{"output_fields": {"env": "staging", "team": "blue"}, "tags": ["staging"], ${event('').slice(1)}`,
    ],
    [
      'empty fields, as Falco sends them with its own messages',
      ', "output_fields": {}, "tags": []',
      event(', "output_fields": {"env": "staging", "team": "blue"}, "tags": ["staging"]'),
    ],
    [
      'fields that are null',
      ', "output_fields": null, "tags": null',
      event(', "output_fields": {"env": "staging", "team": "blue"}, "tags": ["staging"]'),
    ],
    [
      'a label that is missing, one that is null',
      ', "output_fields": { "a": 1, "team": null }, "tags": ["x", "staging"]',
      event(', "output_fields": {"env": "staging",  "a": 1, "team": "blue" }, "tags": ["x", "staging"]'),
    ],
    [
      'numbers as they are written',
      ', "output_fields": {"evt.time": 1534527348518937838, "b": 1.0, "c": 1e3}, "tags": ["staging"]',
      event(
        ', "output_fields": {"env": "staging", "team": "blue", "evt.time": 1534527348518937838, "b": 1.0, "c": 1e3}, "tags": ["staging"]',
      ),
    ],
    [
      'the empty tag of an empty CUSTOMTAGS goes',
      ', "output_fields": {"env": "staging", "team": "blue"}, "tags": ["", "network"]',
      event(', "output_fields": {"env": "staging", "team": "blue"}, "tags": ["network","staging"]'),
    ],
    [
      'quotes and brackets within texts',
      String.raw`, "output": "a \"} ]\\", "output_fields": {"x": "}{", "y": ["]"]}, "tags": ["staging"]`,
      event(
        String.raw`, "output": "a \"} ]\\", "output_fields": {"env": "staging", "team": "blue", "x": "}{", "y": ["]"]}, "tags": ["staging"]`,
      ),
    ],
    [
      'of two members of one name the last, as it counts',
      ', "tags": ["a"], "tags": ["b"], "output_fields": {"env": "staging", "team": "blue"}',
      event(', "tags": ["a"], "tags": ["b","staging"], "output_fields": {"env": "staging", "team": "blue"}'),
    ],
  ];
  for (const [name, more, expected] of cases)
    test(name, () => assert.equal(completed(event(more)), expected));

  test('one that names another cluster stays as it is', () => {
    const other = event(', "output_fields": {"env": "prod"}, "tags": ["prod"]');
    assert.equal(completed(other), other);
  });

  test('one that has everything stays as it is', () => {
    const whole = event(', "output_fields": {"env": "staging", "team": "blue"}, "tags": ["staging"]');
    assert.equal(completed(whole), whole);
  });
});

/** JSON with odd white space, doubles and large numbers, which JSON.stringify never writes. */
const blank = fc.constantFrom('', ' ', '\n', '\t ', '\r\n');
const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: 'binary', maxLength: 6 }).map((text) => JSON.stringify(text)),
    fc.constantFrom('null', 'true', '-0.0', '1E+2', '1534527348518937838', '"\\u007d"', '"\\\\"', '""'),
    fc
      .tuple(fc.array(tie('value'), { maxLength: 3 }), blank)
      .map(([items, space]) => `[${items.map((item) => space + item).join(`${space},`)}${space}]`),
    fc
      .tuple(fc.array(fc.tuple(fc.string({ maxLength: 3 }), tie('value')), { maxLength: 3 }), blank)
      .map(
        ([entries, space]) =>
          `{${entries.map(([key, value]) => `${space}${JSON.stringify(key)}${space}:${space}${value}`).join(',')}${space}}`,
      ),
  ),
})).value;

const object = fc
  .tuple(fc.array(fc.tuple(fc.constantFrom('a', 'env', 'team', 'é', '"'), json), { maxLength: 5 }), blank)
  .map(
    ([entries, space]) =>
      `{${entries.map(([key, value]) => `${space}${JSON.stringify(key)}${space}:${space}${value}${space}`).join(',')}${space}}`,
  );

test('property: members stand where JSON.parse finds them', () => {
  fc.assert(
    fc.property(object, blank, (text, space) => {
      const members = membersOf(space + text, space.length);
      const read: Record<string, unknown> = {};
      for (const { key, start, end } of members)
        Object.defineProperty(read, key, {
          value: JSON.parse((space + text).slice(start, end)),
          enumerable: true,
          configurable: true,
        });
      assert.deepEqual(read, { ...JSON.parse(text) });
    }),
    rounds(300),
  );
});

test('property: everything of an event stays, and what it lacks is there', () => {
  const tags = fc.array(fc.constantFrom('', 'a', 'staging'), { maxLength: 3 });
  fc.assert(
    fc.property(object, tags, blank, (fields, had, space) => {
      const body = `${space}{"rule":"R",${space}"tags":${JSON.stringify(had)},"output_fields":${fields},"time":"2026-01-01T00:00:00.5Z","priority":"debug"}`;
      const before = JSON.parse(body);
      const after = JSON.parse(completed(body));
      const { output_fields: old, tags: _old, ...others } = before;
      const { output_fields: now, tags: tagsNow, ...othersNow } = after;
      assert.deepEqual(othersNow, others);
      const says = (value: unknown) => value !== null && value !== undefined && value !== '';
      const foreign = Object.entries(marks.labels).some(
        ([key, value]) => says(old[key]) && String(old[key]) !== value,
      );
      const added = Object.entries(marks.labels).filter(([key]) => !says(old[key]));
      assert.deepEqual({ ...now }, foreign ? { ...old } : { ...old, ...Object.fromEntries(added) });
      const kept = had.filter((tag) => tag !== '');
      const missing = foreign || kept.includes('staging') ? [] : ['staging'];
      assert.deepEqual(tagsNow, [...kept, ...missing]);
      // Completed once is completed.
      const once = completed(body);
      assert.equal(completed(once), once);
      // Numbers keep their spelling.
      for (const number of body.match(/1534527348518937838|1E\+2|-0\.0/g) ?? [])
        assert.ok(once.includes(number), number);
    }),
    rounds(300),
  );
});

describe('an event is refused', () => {
  const refusals: readonly (readonly [name: string, body: string, reason: string])[] = [
    ['no JSON', 'rule: R', 'not_json'],
    ['nothing', '', 'not_json'],
    ['two events', `${event('')}\n${event('')}`, 'not_json'],
    ['a list', `[${event('')}]`, 'not_one_event'],
    ['a text', '"a"', 'not_one_event'],
    ['null', 'null', 'not_one_event'],
    ['no rule', '{"time": "2026-01-01T00:00:00Z", "priority": "Notice"}', 'no_rule'],
    ['an empty rule', '{"rule": "", "time": "2026-01-01T00:00:00Z", "priority": "Notice"}', 'no_rule'],
    ['no time', '{"rule": "R", "priority": "Notice"}', 'no_time'],
    ['a day without a time', '{"rule": "R", "time": "2026-01-01", "priority": "Notice"}', 'no_time'],
    ['no priority', '{"rule": "R", "time": "2026-01-01T00:00:00Z"}', 'bad_priority'],
    ['a priority that is none', event('').replace('Notice', 'Loud'), 'bad_priority'],
    ['fields that are a list', event(', "output_fields": []'), 'bad_field'],
    ['tags that are a text', event(', "tags": "a"'), 'bad_field'],
    ['a tag that is a number', event(', "tags": [1]'), 'bad_field'],
    ['what falcosidekick breaks off at', event(', "output_fields": {"k8s.ns.name": 1}'), 'bad_field'],
    ['a source that is a number', event(', "source": 1'), 'bad_field'],
  ];
  for (const [name, body, reason] of refusals) {
    test(name, () => {
      const read = readEvent(body);
      assert.ok('reason' in read);
      assert.equal(read.reason, reason);
      assert.match(read.message, /\S/);
    });
  }

  test('priorities as falcosidekick spells them, info too', () => {
    for (const priority of ['Emergency', 'NOTICE', 'info', 'Informational', 'debug'])
      assert.ok(!('reason' in readEvent(event('').replace('Notice', priority))), priority);
  });
});

describe('times that falcosidekick 2.32.0 takes are taken, and what is no time is not', () => {
  const at = (time: string): string => JSON.stringify({ rule: 'R', priority: 'Notice', time });
  for (const [time, isTaken] of [
    ['2026-01-31T12:00:00,5Z', true],
    ['2026-01-31T1:00:00Z', true],
    ['2026-01-31T12:00:00.123456789123Z', true],
    ['2026-01-31T12:00:00+24:00', true],
    ['0000-01-01T00:00:00Z', true],
    ['2026-01-31t12:00:00z', false],
    ['2026-01-31T12:00:60Z', false],
    ['2026-01-31 12:00:00Z', false],
    ['2026-01-31T12:00:00', false],
    ['2026-01-31T12:00:00.Z', false],
    ['2026-01-31T12:00:00+0100', false],
    ['', false],
  ] as const)
    test(`${time}: ${isTaken}`, () => assert.equal('fields' in readEvent(at(time)), isTaken));
});

test('a tag that is null goes, as an empty one', () => {
  const body = '{"rule": "R", "priority": "Notice", "time": "2026-01-31T12:00:00Z", "tags": [null, "a"]}';
  const event = readEvent(body);
  assert.ok('fields' in event);
  assert.deepEqual(JSON.parse(completeEvent(event.text, event.fields, marks)).tags, ['a', 'staging']);
});
