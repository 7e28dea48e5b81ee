/**
 * kill -9 under load, at random points: every event that was answered with 200 arrives, and none twice but around a
 * kill. `KILLS` says how often (3; 200 with LONG=1).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  eventNamed,
  type ForwarderProcess,
  makePlace,
  type Place,
  plainHub,
  program,
  send,
  startForwarder,
} from './forwarder-process.ts';

const kills = Number(process.env.KILLS ?? (process.env.LONG === '1' ? 200 : 3));
const senders = 16;

/** Milliseconds around a kill in which an event may have gone out twice: the machine may be slow. */
const around = 3_000;

/** Sends until the forwarder is gone. @returns what was answered with 200 */
async function sendUntilGone({ port, child }: ForwarderProcess, round: number): Promise<string[]> {
  const safe: string[] = [];
  const one = async (sender: number): Promise<void> => {
    for (let at = 0; child.exitCode === null && child.signalCode === null; at++) {
      const name = `${round}-${sender}-${at}`;
      if ((await send(port, eventNamed(name))) === 200) safe.push(name);
    }
  };
  await Promise.all(Array.from({ length: senders }, (_, sender) => one(sender)));
  return safe;
}

/** Begins to start, and is killed on the way. */
async function killStarting({ settings, spool }: Place): Promise<void> {
  const child = spawn(
    process.execPath,
    [
      ...[program, 'forward', '--settings', settings, '--spool', spool, '--host', '127.0.0.1'],
      ...['--port', '0', '--health-port', '0', '--metrics-port', '0'],
    ],
    { stdio: 'ignore' },
  );
  await sleep(Math.random() * 800);
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test(`${kills} kills under load: nothing that was answered with 200 is lost`, {
  timeout: 120_000 + kills * 15_000,
}, async () => {
  const hub = await plainHub();
  const place = makePlace(`cluster: staging\nhub: { address: "${hub.address}" }\n`);
  const firsts = new Map<string, number>();
  const twice = new Map<string, number>();
  hub.onEvent((name) => {
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, performance.now());
    else twice.set(name, first);
  });
  const killed: number[] = [];
  const safe: string[] = [];
  for (let round = 0; round < kills; round++) {
    if (Math.random() < 0.2) {
      killed.push(performance.now());
      await killStarting(place);
      killed.push(performance.now());
      continue;
    }
    // Sometimes the hub is slow, or away, so that events wait on disk.
    const mood = round % 4;
    hub.answers(
      mood === 1
        ? (response) => response.writeHead(503).end()
        : mood === 2
          ? (response) => setTimeout(() => response.destroy(), 50)
          : undefined,
    );
    const forwarder = await startForwarder(place, { flags: ['--log-level', 'info'] });
    const sending = sendUntilGone(forwarder, round);
    await sleep(Math.random() * 600);
    forwarder.child.kill('SIGKILL');
    killed.push(performance.now());
    safe.push(...(await sending));
  }
  hub.answers(undefined);
  const last = await startForwarder(place);
  const missing = (): string[] => safe.filter((name) => !firsts.has(name));
  for (let tries = 0; missing().length > 0 && tries < 3_000; tries++) await sleep(20);
  assert.deepEqual(missing(), []);
  // Before the spool is open nothing is known of it.
  const isDone = async (): Promise<boolean> =>
    (await last.ready()).status === 200 && (await last.metric('waiting_events')) === 0;
  for (let tries = 0; !(await isDone()) && tries < 3_000; tries++) await sleep(20);
  assert.equal(await last.metric('waiting_events'), 0);
  const unexplained = [...twice].filter(
    ([, first]) => !killed.some((kill) => Math.abs(kill - first) < around),
  );
  assert.deepEqual(unexplained, [], 'twice, and not around a kill');
  console.log(
    `${kills} kills: ${safe.length} events answered with 200, all arrived; ${twice.size} of ${firsts.size} twice`,
  );
  assert.equal(await last.stop(), 0);
  await hub.close();
});
