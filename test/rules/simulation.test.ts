/**
 * Sources that change, a tagger that is killed anywhere, a Falco that reloads at any time: in any order.
 *
 * What must hold, whenever Falco has loaded its rules. With `then` for the rules that its sources had when the list in
 * force was published, and `now` for those that it would load now without us:
 *
 * 1. every rule of both is loaded, but for those of files that the follower could not read;
 * 2. Falco has exited only if it would have without us, now or then.
 *
 * And when all has come to rest with sources that Falco can load: it runs exactly the rules of its sources, each with
 * the tag, and another step writes nothing. Falco reloads no more often than something that it watches was changed.
 *
 * Any of it may fall into the time in which Falco is blind (FACTS 1.7): at its start, and in each reload.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import fastCheck from 'fast-check';
import type { PublishingDisk } from '../../src/rules/publishing/publish.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import { isLong, rounds } from '../rounds.ts';
import { FalcoNode, file, Killed, layouts, namesOf } from './falco-node.ts';
import { output } from './temporary-tree.ts';

const a = '/etc/falco/a.yaml';
const folder = '/etc/falco/rules.d';

interface World {
  readonly node: FalcoNode;
  /** What was checked last. */
  readonly check: () => void;
}

interface Act {
  readonly name: string;
  readonly run: (world: World) => void;
}

const ruleNames = fastCheck.subarray(['A', 'B', 'C', 'D'], { minLength: 1 });
const path = fastCheck.constantFrom(a, `${folder}/x.yaml`, `${folder}/y.yaml`);
const act = (name: string, run: Act['run']): Act => ({ name, run });

/** How the sources change. Rules may stand in several files: then one goes from one file to another. */
const sourceAct: fastCheck.Arbitrary<Act> = fastCheck.oneof(
  fastCheck
    .tuple(path, ruleNames)
    .map(([at, names]) =>
      act(`overwrite ${at} with ${names}`, ({ node }) => node.overwrite(at, file(...names))),
    ),
  fastCheck
    .tuple(path, ruleNames)
    .map(([at, names]) => act(`replace ${at} with ${names}`, ({ node }) => node.replace(at, file(...names)))),
  path.map((at) => act(`truncate ${at}`, ({ node }) => node.overwrite(at, ''))),
  path.map((at) => act(`cut off ${at}`, ({ node }) => node.overwrite(at, `${file('A')}- rule: [half`))),
  path.map((at) => act(`remove ${at}`, ({ node }) => node.remove(at))),
  ruleNames.map((names) =>
    act(`swap ${names}`, ({ node }) => node.swap(folder, { 'map.yaml': file(...names) })),
  ),
  fastCheck
    .tuple(path, fastCheck.boolean())
    .map(([at, isReadable]) =>
      act(`${at} readable: ${isReadable}`, ({ node }) => node.setReadable(at, isReadable)),
    ),
);

/** The follower does what it would do now; it is woken too often rather than too seldom. */
function follow({ node, check }: World, killAt: number, falcoAt: ReadonlySet<number>): void {
  let operation = 0;
  try {
    node.follow(node.isDue() ? 'still' : 'changed', () => {
      if (falcoAt.has(operation)) {
        node.falco.reload();
        check();
      }
      if (operation++ === killAt) throw new Killed();
    });
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
    // Its container starts again.
    node.follow('start');
  }
}

const never = Number.POSITIVE_INFINITY;
const step: fastCheck.Arbitrary<Act> = fastCheck
  .tuple(
    fastCheck.oneof(fastCheck.constant(never), fastCheck.nat(14)),
    fastCheck.uniqueArray(fastCheck.nat(14), { maxLength: 3 }),
  )
  .map(([killAt, falcoAt]) =>
    act(`follow, killed at ${killAt}, Falco reads at ${falcoAt}`, (world) =>
      follow(world, killAt, new Set(falcoAt)),
    ),
  );
const minutes = (count: number): Act =>
  act(`${count} minutes pass`, ({ node }) => {
    node.now += count * 60_000;
  });

/** What happens while Falco is blind: it is not for as long as ten minutes. */
const inBlindness = fastCheck.oneof(
  { arbitrary: fastCheck.constant<Act[]>([]), weight: 2 },
  {
    arbitrary: fastCheck.array(fastCheck.oneof(sourceAct, step, fastCheck.constant(minutes(2))), {
      maxLength: 4,
    }),
    weight: 1,
  },
);
const falcoAct: fastCheck.Arbitrary<Act> = fastCheck.oneof(
  { arbitrary: inBlindness.map((acts) => loading('reloads', acts)), weight: 2 },
  { arbitrary: inBlindness.map((acts) => loading('starts again', acts)), weight: 1 },
);

function loading(how: 'reloads' | 'starts again', acts: readonly Act[]): Act {
  const during = acts.length === 0 ? '' : `; meanwhile: ${acts.map(({ name }) => name).join(', ')}`;
  return act(`Falco ${how}${during}`, (world) => {
    const meanwhile = () => doAll(acts, world);
    if (how === 'reloads') world.node.falco.reload(meanwhile);
    else world.node.falco.start(meanwhile);
  });
}

/** Checks first: Falco may have loaded just now. */
function doAll(acts: readonly Act[], world: World): void {
  world.check();
  for (const { run } of acts) {
    run(world);
    world.check();
  }
}

const time = fastCheck.constantFrom(minutes(2), minutes(10));
const launcherAct = act('published again, if unread', ({ node }) => node.publishAgain());

interface History {
  /** Whether nothing is tagged before Falco starts. */
  readonly alongside: boolean;
  readonly acts: readonly Act[];
  /** Whether Falco starts just when the last changes are published. */
  readonly endsBlind: boolean;
}

const history: fastCheck.Arbitrary<History> = fastCheck.record({
  alongside: fastCheck.boolean(),
  acts: fastCheck.array(
    fastCheck.oneof(
      { arbitrary: sourceAct, weight: 5 },
      { arbitrary: step, weight: 4 },
      { arbitrary: falcoAct, weight: 3 },
      { arbitrary: fastCheck.constant(launcherAct), weight: 1 },
      { arbitrary: time, weight: 1 },
    ),
    { minLength: 1, maxLength: 25 },
  ),
  endsBlind: fastCheck.boolean(),
});

/** Checks what Falco has loaded just now, if it has. */
function checker(node: FalcoNode): () => void {
  let checked = '';
  return () => {
    const { reloads, starts, vanished } = node.falco;
    const loads = `${reloads} ${starts} ${vanished}`;
    if (loads === checked) return;
    checked = loads;
    const own = node.own();
    if (node.falco.running === undefined) {
      const { vanished } = node.falco;
      if (vanished !== undefined) {
        assert.ok(
          !vanished.startsWith(output),
          `Falco has exited: ${vanished} was gone when it was to be watched`,
        );
        return;
      }
      assert.ok(own.exit !== 0 || node.publishedBroken, 'Falco has exited, and would not have without us');
      return;
    }
    // Files that options add it reads by itself, newer than the copies of a list: a rule that goes from there to a listed
    // file is not loaded until that is published.
    if (node.hasOptions) return;
    // Sources that Falco would refuse have no rules to lose.
    const now = own.exit === 0 ? namesOf(own) : [];
    // What the follower could not see goes when its file does, here as without us.
    const then = (node.published ?? now).filter((name) => !node.publishedUnseen.includes(name));
    const loaded = namesOf(node.falco.running);
    for (const name of then.filter((one) => now.includes(one)))
      assert.ok(loaded.includes(name), `${name} is lost: loaded ${loaded}, then ${then}, now ${now}`);
  };
}

function rest(world: World, isOperator: boolean, endsBlind: boolean): void {
  const { node, check } = world;
  for (const at of [a, `${folder}/x.yaml`, `${folder}/y.yaml`]) node.setReadable(at, true);
  if (!isOperator) node.overwrite(a, file('A', 'Last'));
  node.swap(folder, { 'map.yaml': file('B') });
  for (const at of ['x.yaml', 'y.yaml']) node.overwrite(`${folder}/${at}`, file('C'));
  untilStill(world);
  // As its container is started again.
  if (node.falco.running === undefined) node.falco.start();
  if (endsBlind) {
    node.falco.start(() => {
      check();
      node.overwrite(`${folder}/x.yaml`, file('C', 'End'));
      follow(world, never, new Set());
    });
    check();
  }
  // As often as it takes, which is once; a second time nothing is unread.
  for (let times = 0; times < 2; times += 1) {
    node.publishAgain();
    node.falco.reload();
    check();
  }
  const own = node.own();
  assert.equal(own.exit, 0);
  assert.deepEqual(node.falco.running && namesOf(node.falco.running), namesOf(own));
  const untagged = node.falco.running?.rules.filter(({ tags }) => !tags.includes('staging'));
  assert.deepEqual(untagged, []);
  const { publications } = node;
  assert.equal(node.follow('changed').report?.outcome.code, 'rules_tagged');
  assert.equal(node.publications, publications, 'nothing has changed, so nothing is written');
}

function untilStill(world: World): void {
  world.check();
  let before: number;
  do {
    before = world.node.publications;
    follow(world, never, new Set());
    world.node.falco.reload();
    world.check();
  } while (world.node.publications !== before || world.node.isDue());
}

/** Lives through it. Throws where something does not hold. */
function live(layout: keyof typeof layouts, history: History, makeDisk?: typeof publishingDisk): void {
  const node = new FalcoNode(layouts[layout], makeDisk);
  try {
    liveOn(node, layout === 'operator', history);
  } finally {
    rmSync(node.root, { recursive: true });
  }
}

function liveOn(node: FalcoNode, isOperator: boolean, { alongside, acts, endsBlind }: History): void {
  if (!isOperator) node.overwrite(a, file('A', 'B'));
  const world = { node, check: checker(node) };
  if (!alongside) node.follow('start');
  node.falco.start();
  world.check();
  if (alongside) node.follow('start');
  doAll(acts, world);
  rest(world, isOperator, endsBlind);
}

for (const layout of Object.keys(layouts) as (keyof typeof layouts)[]) {
  test(`${layout}: whatever happens, in any order`, () => {
    fastCheck.assert(
      fastCheck.property(history, (one) => {
        live(layout, one);
      }),
      { ...rounds(20), reporter: tellNames },
    );
  });
}

/** One of each kind, with what is most likely to meet badly. */
const few: readonly Act[] = [
  act('overwrite', ({ node }) => node.overwrite(a, file('A', 'C'))),
  act('cut off', ({ node }) => node.overwrite(a, `${file('A')}- rule: [half`)),
  act('swap', ({ node }) => node.swap(folder, { 'map.yaml': file('D') })),
  act('remove', ({ node }) => node.remove(a)),
  act('follow', (world) => follow(world, never, new Set())),
  act('follow, killed', (world) => follow(world, 7, new Set([6]))),
  minutes(10),
  loading('reloads', []),
  loading('starts again', []),
  loading('starts again', [
    act('overwrite', ({ node }) => node.overwrite(a, file('B'))),
    act('follow', (world) => follow(world, never, new Set())),
    minutes(9),
    act('follow', (world) => follow(world, never, new Set())),
  ]),
];

/** Every history of this many acts, and none twice. */
function* historiesOf(length: number): Generator<readonly Act[]> {
  if (length === 0) yield [];
  else for (const before of historiesOf(length - 1)) for (const one of few) yield [...before, one];
}

const searched = isLong ? (['chartWithConfigMap', 'options'] as const) : (['options'] as const);
for (const layout of searched) {
  test(`${layout}: every short history`, () => {
    for (const acts of historiesOf(isLong ? 4 : 2)) {
      try {
        live(layout, { alongside: false, acts, endsBlind: false });
      } catch (error) {
        throw new Error(acts.map(({ name }) => name).join('\n'), { cause: error });
      }
    }
  });
}

test('what is not in force goes when it has rested for ten minutes, and only what is in force stays', () => {
  const node = new FalcoNode(layouts.options);
  node.overwrite(a, file('A'));
  node.swap(folder, { 'map.yaml': file('B'), 'other.yaml': file('C') });
  node.follow('start');
  node.overwrite(a, file('D'));
  node.swap(folder, { 'map.yaml': file('E') });
  node.remove(`${folder}/other.yaml`);
  node.follow('still');
  const named = () => readdirSync(`${node.root}${output}/rules`);
  assert.deepEqual(named(), ['00-a', '00-a.1', 'last', 'last.1']);
  const last = `${node.root}${output}/last`;
  assert.deepEqual(
    [readdirSync(last), readFileSync(`${last}/00001.yaml`, 'utf8')],
    [['00000.yaml', '00001.yaml'], ''],
  );
  node.now += 599_999;
  node.follow('changed');
  assert.deepEqual(named(), ['00-a', '00-a.1', 'last', 'last.1']);
  node.now += 1;
  node.follow('changed');
  assert.deepEqual(named(), ['00-a.1', 'last.1']);
});

/** The acts of a failure by their names: functions say nothing. */
function tellNames(details: fastCheck.RunDetails<[History]>): void {
  if (!details.failed) return;
  const { alongside, endsBlind, acts = [] } = details.counterexample?.[0] ?? {};
  throw new Error(
    `seed ${details.seed}, path ${details.counterexamplePath}, alongside ${alongside}, ends blind ${endsBlind}:\n  ${acts
      .map(({ name }) => name)
      .join('\n  ')}\n${details.errorInstance instanceof Error ? details.errorInstance.stack : ''}`,
  );
}

/** Publishers that are wrong in one point each: the simulation has to notice. */
const mutants: Readonly<Record<string, (root?: string) => PublishingDisk>> = {
  'folders arrive empty': (root) => {
    const disk = publishingDisk(root);
    return {
      ...disk,
      rename: (from, to) => {
        disk.rename(from, to);
        if (to.includes('/rules/'))
          for (const name of disk.names(to)) disk.writeFile(`${to}/${name}`, Buffer.from(''));
      },
    };
  },
  'the list in force loses its folders before another one is there': (root) => {
    const disk = publishingDisk(root);
    return {
      ...disk,
      makeFolder: (path) => {
        if (path.endsWith('/work/folder'))
          for (const name of disk.kind(`${output}/rules`) === 'folder' ? disk.names(`${output}/rules`) : [])
            disk.remove(`${output}/rules/${name}`);
        disk.makeFolder(path);
      },
    };
  },
};

for (const [what, makeDisk] of Object.entries(mutants)) {
  test(`a publisher that is wrong is noticed: ${what}`, () => {
    const { failed } = fastCheck.check(
      fastCheck.property(history, (one) => {
        live('chartWithConfigMap', one, makeDisk);
      }),
      rounds(25),
    );
    assert.ok(failed, 'it was not noticed');
  });
}
