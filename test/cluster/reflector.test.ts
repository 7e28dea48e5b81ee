import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { refusal } from '../../src/cluster/cluster-error.ts';
import { reflect } from '../../src/cluster/reflector.ts';
import { namespaces } from '../../src/cluster/resource.ts';
import { bookmark, expired, page, reflection, removed, set } from './reflection.ts';

const long = 290_000;

test('lists all pages, watches from there, passes on what comes, and resumes where it was', async () => {
  const log = await reflection(
    [page('5', ['a', 'b'], 'b'), page('5', ['c'])],
    [{ brings: [set('d', '6'), removed('a', '7')], lasts: long }, { lasts: long }],
  );
  assert.deepEqual(log, [
    'list',
    'list from b',
    'replace a b c',
    'watch from 5',
    'problem: none',
    'set d',
    'remove a',
    'watch from 7',
  ]);
});

test('a bookmark moves the version and nothing else', async () => {
  const log = await reflection([page('5', ['a'])], [{ brings: [bookmark('90')], lasts: long }, {}]);
  assert.deepEqual(log.slice(1), ['replace a', 'watch from 5', 'problem: none', 'watch from 90', 'wait 250']);
});

test('410 Gone, as an answer or within a watch: a list at once; it knows what was deleted meanwhile', async () => {
  const gone = expired('too old');
  const answered = await reflection([page('5', ['a', 'b']), page('9', ['a'])], [{ refuses: gone }, {}]);
  assert.deepEqual(answered.slice(0, 6), [
    'list',
    'replace a b',
    'watch from 5',
    'list',
    'replace a',
    'watch from 9',
  ]);
  const within = await reflection(
    [page('5', ['a', 'b']), page('9', ['a'])],
    [{ brings: [set('c', '6')], ends: gone }, {}],
  );
  assert.deepEqual(within.slice(4, 8), ['set c', 'list', 'replace a', 'watch from 9']);
});

test('410 while the pages of a list are read: the list from its beginning', async () => {
  const log = await reflection([page('5', ['a'], 'a'), expired('token'), page('6', ['b'])], [{}]);
  assert.deepEqual(log.slice(0, 5), ['list', 'list from a', 'list', 'replace b', 'watch from 6']);
});

test('410 again and again is no reason to hurry', async () => {
  const gone = { refuses: expired('too old') };
  const log = await reflection([page('5', []), page('6', []), page('7', [])], [gone, gone, gone]);
  assert.deepEqual(
    log.filter((line) => line.startsWith('wait')),
    ['wait 250', 'wait 500'],
  );
});

test('a watch that breaks after it brought something is resumed; one that brought nothing is followed by a list', async () => {
  const broken = new Error('broken');
  const log = await reflection(
    [page('5', ['a', 'b']), page('8', ['b'])],
    [{ brings: [set('c', '6')], ends: broken }, { ends: broken }, {}],
  );
  assert.deepEqual(log.slice(2), [
    'watch from 5',
    'problem: none',
    'set c',
    'problem: broken',
    'wait 250',
    'watch from 6',
    'problem: none',
    'problem: broken',
    'wait 500',
    'list',
    'replace b',
    'watch from 8',
    'problem: none',
    'wait 1000',
  ]);
});

test('a watch that lived and brought not even a bookmark: a list, in case the data were set back', async () => {
  const log = await reflection([page('500', ['a']), page('3', ['b'])], [{ lasts: long }, {}]);
  assert.deepEqual(log.slice(4, 7), ['list', 'replace b', 'watch from 3']);
});

test('watches that end at once are not asked for in a tight loop', async () => {
  const log = await reflection(
    [page('5', [])],
    [{ brings: [bookmark('6')] }, { brings: [bookmark('7')] }, { brings: [bookmark('8')] }],
  );
  assert.deepEqual(
    log.filter((line) => line.startsWith('wait')),
    ['wait 250', 'wait 500', 'wait 1000'],
  );
});

test('a watch on a connection that is silently gone is given up some time after its end', async () => {
  const log = await reflection(
    [page('5', ['a'])],
    [{ brings: [bookmark('6')], lasts: long, ends: 'hangs' }, {}],
    { watchSeconds: 0, grace: 20 },
  );
  assert.deepEqual(log.slice(3), [
    'problem: none',
    'problem: watch timed out: still open after 0 s',
    'wait 250',
    'watch from 6',
    'problem: none',
    'wait 500',
  ]);
});

test('watches are asked to end after 290 s, give or take 10 %', async () => {
  const seconds: number[] = [];
  for (const random of [0, 0.5, 0.999999]) {
    const stopped = new AbortController();
    const source = {
      list: async () => page('1', []),
      watch: async (_version: string, asked: number) => {
        seconds.push(asked);
        stopped.abort();
        throw new Error('enough');
      },
    };
    const target = { replace: () => {}, set: () => {}, remove: () => {}, problem: () => {} };
    const wait = () => Promise.resolve();
    await reflect(source, target, stopped.signal, {
      ...{ random: () => random, now: () => 0, wait, watchSeconds: 290, grace: 15_000 },
    });
  }
  assert.deepEqual(seconds, [261, 290, 319]);
});

test('an API server that is away: waits that grow up to 30 s and start anew after a healthy time; told once', async () => {
  const away = new Error('refused');
  const log = await reflection(
    [...Array<Error>(8).fill(away), page('5', ['a']), away, page('6', ['a'])],
    [{ lasts: long, ends: away }, {}],
  );
  const waits = log.filter((line) => line.startsWith('wait')).map((line) => Number(line.slice(5)));
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 250, 500, 1000]);
  assert.deepEqual(
    log.filter((line) => line.startsWith('problem')),
    ['problem: refused', 'problem: none', 'problem: refused', 'problem: none'],
  );
});

test('what the target throws does not end it', async () => {
  const stopped = new AbortController();
  let lists = 0;
  const problems: (string | undefined)[] = [];
  await reflect(
    {
      list: async () => page('1', ['a']),
      watch: () => Promise.reject(new Error('never')),
    },
    {
      replace: () => {
        lists += 1;
        if (lists === 3) stopped.abort();
        throw new Error('bug');
      },
      set: () => {},
      remove: () => {},
      problem: (problem) => problems.push(problem),
    },
    stopped.signal,
    { random: () => 0, now: () => 0, wait: () => Promise.resolve(), watchSeconds: 290, grace: 15_000 },
  );
  assert.equal(lists, 3);
  assert.deepEqual(problems, ['bug']);
});

for (const during of ['list', 'watch', 'wait'] as const) {
  test(`stops at once during a ${during}, and tells nothing more`, async () => {
    const stopped = new AbortController();
    const seen: string[] = [];
    const hang = (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const stopSoon = (): void => {
      setTimeout(() => stopped.abort(), 5);
    };
    const done = reflect(
      {
        list: (_next, signal) => {
          if (during === 'list') stopSoon();
          return during === 'list' ? hang(signal) : Promise.resolve(page('1', ['a']));
        },
        watch: async (_version, _seconds, signal) => {
          if (during === 'wait') throw new Error('broken');
          return (async function* () {
            stopSoon();
            await hang(signal);
            yield set('late', '2');
          })();
        },
      },
      {
        replace: () => seen.push('replace'),
        set: () => seen.push('set'),
        remove: () => seen.push('remove'),
        problem: (problem) => {
          seen.push(problem ?? 'none');
          if (during === 'wait') stopSoon();
        },
      },
      stopped.signal,
      {
        random: () => 1,
        now: () => performance.now(),
        // Longer than a test may take: it ends by being stopped, or never.
        wait: (_milliseconds, signal) => wait(600_000, undefined, { signal }),
        watchSeconds: 290,
        grace: 15_000,
      },
    );
    await done;
    const expected = { list: [], watch: ['replace', 'none'], wait: ['replace', 'broken'] };
    assert.deepEqual(seen, expected[during]);
  });
}

test('events that are already here when it is stopped are not passed on', async () => {
  const stopped = new AbortController();
  const seen: string[] = [];
  await reflect(
    {
      list: async () => page('1', []),
      watch: async () =>
        (async function* () {
          yield set('a', '2');
          yield set('b', '3');
        })(),
    },
    {
      replace: () => {},
      set: ({ name }) => {
        seen.push(name);
        stopped.abort();
      },
      remove: () => {},
      problem: () => {},
    },
    stopped.signal,
  );
  assert.deepEqual(seen, ['a']);
});

test('what may not be done is tried again soon, and less and less often; Retry-After is obeyed', async () => {
  const connection = { server: 'https://api', namespace: undefined, access: async () => ({}) };
  const request = { verb: 'list', resource: namespaces } as const;
  const error = (status: number, retryAfter?: string) =>
    refusal(connection, request, { status, retryAfter }, {});
  const waits = async (errors: readonly Error[]) =>
    (await reflection(errors, [])).filter((line) => line.startsWith('wait'));
  const denied = await waits(Array.from({ length: 12 }, () => error(403)));
  assert.deepEqual(denied.slice(0, 3), ['wait 250', 'wait 500', 'wait 1000']);
  assert.equal(denied.at(-1), 'wait 150000');
  const broken = await waits(Array.from({ length: 12 }, () => error(500)));
  assert.equal(broken.at(-1), 'wait 15000');
  assert.deepEqual(await waits([error(429, '7'), error(503, '7'), error(429)]), [
    'wait 7000',
    'wait 7000',
    'wait 1000',
  ]);
  assert.deepEqual(await waits([error(429, '86400')]), ['wait 300000']);
});
