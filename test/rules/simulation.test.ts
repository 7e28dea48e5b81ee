/**
 * Sources that change, a tagger that is killed anywhere, a Falco that reloads at any time: in any order.
 *
 * What must hold, whenever Falco has loaded its rules. With `then` for the rules that its sources had when the list in
 * force was published, and `now` for those that it would load now without us:
 *
 * 1. every rule of both is loaded;
 * 2. Falco has exited only if it would have without us, now or then.
 *
 * And when all has come to rest with sources that Falco can load: it runs exactly the rules of its sources, each with
 * the tag, and another step writes nothing. Falco reloads no more often than something that it watches was changed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastCheck from 'fast-check';
import type { PublishingDisk } from '../../src/rules/publishing/publish.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import { FalcoNode, file, Killed, layouts, namesOf } from './falco-node.ts';
import { output } from './temporary-tree.ts';

const a = '/etc/falco/a.yaml';
const folder = '/etc/falco/rules.d';
const runs = Number(process.env.SIMULATION_RUNS ?? 150);

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
const falcoAct: fastCheck.Arbitrary<Act> = fastCheck.constantFrom(
  act('Falco reloads', ({ node }) => node.falco.reload()),
  act('Falco reloads', ({ node }) => node.falco.reload()),
  act('Falco starts again', ({ node }) => node.falco.start()),
);

const history = fastCheck.array(
  fastCheck.oneof(
    { arbitrary: sourceAct, weight: 5 },
    { arbitrary: step, weight: 4 },
    { arbitrary: falcoAct, weight: 3 },
  ),
  { minLength: 1, maxLength: 25 },
);

/** Checks what Falco has loaded just now, if it has. */
function checker(node: FalcoNode): () => void {
  let checked = -1;
  return () => {
    const loads = node.falco.reloads + node.falco.starts;
    if (loads === checked) return;
    checked = loads;
    const own = node.own();
    if (node.falco.running === undefined) {
      assert.ok(own.exit !== 0 || node.publishedBroken, 'Falco has exited, and would not have without us');
      return;
    }
    // Sources that Falco would refuse have no rules to lose.
    const now = own.exit === 0 ? namesOf(own) : [];
    const then = node.published ?? now;
    const loaded = namesOf(node.falco.running);
    for (const name of then.filter((one) => now.includes(one)))
      assert.ok(loaded.includes(name), `${name} is lost: loaded ${loaded}, then ${then}, now ${now}`);
  };
}

function rest(world: World, isOperator: boolean): void {
  const { node, check } = world;
  for (const at of [a, `${folder}/x.yaml`, `${folder}/y.yaml`]) node.setReadable(at, true);
  if (!isOperator) node.overwrite(a, file('A', 'Last'));
  node.swap(folder, { 'map.yaml': file('B') });
  for (const at of ['x.yaml', 'y.yaml']) node.overwrite(`${folder}/${at}`, file('C'));
  for (let at = 0; at < 6; at += 1) {
    follow(world, never, new Set());
    node.falco.reload();
    check();
  }
  if (node.falco.running === undefined) node.falco.start();
  const own = node.own();
  assert.equal(own.exit, 0);
  assert.deepEqual(node.falco.running && namesOf(node.falco.running), namesOf(own));
  const untagged = node.falco.running?.rules.filter(({ tags }) => !tags.includes('staging'));
  assert.deepEqual(untagged, []);
  const { publications } = node;
  assert.equal(node.follow('changed').report?.outcome.code, 'rules_tagged');
  assert.equal(node.publications, publications, 'nothing has changed, so nothing is written');
}

function live(
  layout: keyof typeof layouts,
  alongside: boolean,
  acts: readonly Act[],
  disk = publishingDisk,
): void {
  const node = new FalcoNode(layouts[layout], disk);
  const isOperator = layout === 'operator';
  if (!isOperator) node.overwrite(a, file('A', 'B'));
  const check = checker(node);
  const world = { node, check };
  if (!alongside) node.follow('start');
  node.falco.start();
  check();
  if (alongside) node.follow('start');
  for (const { run } of acts) {
    run(world);
    check();
  }
  rest(world, isOperator);
}

for (const layout of Object.keys(layouts) as (keyof typeof layouts)[]) {
  test(`${layout}: whatever happens, in any order`, () => {
    fastCheck.assert(
      fastCheck.property(fastCheck.boolean(), history, (alongside, acts) => live(layout, alongside, acts)),
      { numRuns: runs, reporter: tellNames },
    );
  });
}

/** The acts of a failure by their names: functions say nothing. */
function tellNames(details: fastCheck.RunDetails<[boolean, Act[]]>): void {
  if (!details.failed) return;
  const [alongside, acts] = details.counterexample ?? [];
  throw new Error(
    `seed ${details.seed}, path ${details.counterexamplePath}, alongside ${alongside}:\n  ${acts
      ?.map(({ name }) => name)
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

for (const [what, disk] of Object.entries(mutants)) {
  test(`a publisher that is wrong is noticed: ${what}`, () => {
    const { failed } = fastCheck.check(
      fastCheck.property(fastCheck.boolean(), history, (alongside, acts) =>
        live('chartWithConfigMap', alongside, acts, disk),
      ),
      { numRuns: runs },
    );
    assert.ok(failed, 'it was not noticed');
  });
}
