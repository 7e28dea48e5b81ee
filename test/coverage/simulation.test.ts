import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { type Chance, chance, SimulatedCluster } from './simulated-cluster.ts';

const histories = Number(process.env.SIMULATION_RUNS ?? 150);

interface Chaos {
  readonly settings: number;
  readonly webhook: number;
  readonly budgets: number;
  readonly kill: number;
  readonly lose: number;
}

const none: Chaos = { settings: 0, webhook: 0, budgets: 0, kill: 0, lose: 0 };

function strike(cluster: SimulatedCluster, random: Chance, chaos: Chaos): void {
  if (random() < chaos.settings) cluster.changeSettings();
  if (random() < chaos.webhook) cluster.webhookIsCalled = !cluster.webhookIsCalled;
  if (random() < chaos.budgets) cluster.budgetsHold = !cluster.budgetsHold;
  if (random() < chaos.lose) cluster.lose();
  const alive = cluster.replicas.filter(({ dead }) => !dead);
  const victim = alive[Math.floor(random() * alive.length)];
  if (random() < chaos.kill && victim !== undefined) cluster.kill(victim);
}

async function run(cluster: SimulatedCluster, random: Chance, chaos: Chaos, steps: number): Promise<void> {
  for (let step = 0; step < steps; step += 1) {
    strike(cluster, random, chaos);
    // A replica that is dead no longer looks; what it has asked for may still come to pass.
    for (const replica of cluster.replicas) if (random() < 0.4) cluster.look(replica);
    await turn();
    while (cluster.hasPending() && random() < 0.85) {
      cluster.answerOne();
      await turn();
    }
    cluster.advance(Math.floor(random() * 6_000));
    await turn();
  }
}

async function calmDown(cluster: SimulatedCluster, random: Chance): Promise<void> {
  cluster.calm = true;
  cluster.webhookIsCalled = true;
  cluster.budgetsHold = false;
  await run(cluster, random, none, 600);
}

const told = (cluster: SimulatedCluster): string => cluster.log.slice(-60).join('\n');

async function simulate(seed: number, chaos: Chaos, settingsReturn = true): Promise<SimulatedCluster> {
  const random = chance(seed);
  const cluster = new SimulatedCluster(random);
  cluster.settingsReturn = settingsReturn;
  await run(cluster, random, chaos, 400);
  return cluster;
}

const seeds = fc.integer();

const everything: Chaos = { settings: 0.02, webhook: 0.02, budgets: 0.03, kill: 0.02, lose: 0 };

test('whatever happens: one at a time for each workload, never twice for the same settings, none that is as it should be', async () => {
  let evictions = 0;
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const cluster = await simulate(seed, everything);
      evictions += cluster.evictions;
      assert.deepEqual(cluster.faults, [], told(cluster));
    }),
    { numRuns: histories },
  );
  assert.ok(evictions > histories, `only ${evictions} evictions in ${histories} histories`);
});

// A pod that takes the place of one that a node lost looks like the successor that is waited for: only a
// PodDisruptionBudget knows better then.
test('nodes lose pods too: never twice for the same settings, none that is as it should be', async () => {
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const cluster = await simulate(seed, { ...everything, lose: 0.02 });
      const faults = cluster.faults.filter(({ what }) => !what.endsWith('is under way'));
      assert.deepEqual(faults, [], told(cluster));
    }),
    { numRuns: histories },
  );
});

// Only who has seen both changes knows that settings were others in between.
for (const { about, chaos, settingsReturn } of [
  {
    about: 'replicas die',
    chaos: { ...none, settings: 0.01, budgets: 0.03, kill: 0.02 },
    settingsReturn: false,
  },
  { about: 'settings come back', chaos: { ...none, settings: 0.02, budgets: 0.03 }, settingsReturn: true },
]) {
  test(`${about}: all is replaced in the end where new pods are what the settings ask for`, async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const cluster = await simulate(seed, chaos, settingsReturn);
        await calmDown(cluster, chance(seed + 1));
        assert.deepEqual(cluster.left(), [], told(cluster));
        assert.deepEqual(cluster.faults, [], told(cluster));
      }),
      { numRuns: Math.ceil(histories / 3) },
    );
  });
}

test('while the webhook is not called, one pod goes at most in each workload, and then none anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const random = chance(seed);
      const cluster = new SimulatedCluster(random);
      cluster.webhookIsCalled = false;
      await run(cluster, random, { ...none, kill: 0.02 }, 400);
      assert.ok(cluster.evictions >= 1 && cluster.evictions <= 3, `${cluster.evictions}\n${told(cluster)}`);
    }),
    { numRuns: Math.ceil(histories / 3) },
  );
});
