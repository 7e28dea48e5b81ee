/** `ship-alerts` is killed, and the forwarder restarted, at any moment: nothing of the file is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { isLong } from '../rounds.ts';
import { until } from '../until.ts';
import { cannotCompile, openFolder } from './compiled.ts';
import { stopped } from './running.ts';
import { alert, live, ship, write } from './shipping.ts';
import { standIn } from './stand-in.ts';

const kills = isLong ? 200 : 8;

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('kills', { skip: cannotCompile }, () => {
  for (const size of [1_024, 1_000])
    test(`killed when all is done, it goes on exactly there: lines of ${size} bytes`, async (t) => {
      const folder = openFolder();
      const forwarder = await standIn(t);
      const line = (output: string) => alert(output, 'x'.repeat(size - alert(output).length));
      const first = await ship(t, forwarder.url, { folder });
      for (let number = 10; number < 30; number++) first.write(line(`${number}`));
      await until('all have come', () => forwarder.events.size === 20);
      await until('their room is given back', () => statSync(live(folder)).blocks * 512 <= 16_384);
      first.child.kill('SIGKILL');
      // Of 1,024 bytes, it begins with a page.
      write(folder, line('30'));
      const second = await ship(t, forwarder.url, { folder });
      await until('the next one has come', () => forwarder.events.size === 21);
      assert.equal(await stopped(second.child), 0);
      assert.match(second.said.err, / 0 cut off or not JSON/);
    });

  test(`of the shipper, ${kills} times under load, and restarts of the forwarder`, async (t) => {
    const seed = isLong ? Date.now() % 1_000_000 : 1;
    t.diagnostic(`seed ${seed}`);
    const random = randomOf(seed);
    const folder = openFolder();
    const forwarder = await standIn(t);
    // One in ten batches is kept, and its answer gets lost.
    forwarder.behave((posted) => {
      const drops = random() < 0.1;
      if (drops) posted.answer.end = () => posted.request.socket.destroy() as never;
      forwarder.take(posted);
    });
    let written = 0;
    /** Some alerts now, some in a moment. */
    const load = async () => {
      for (let moments = 1 + random() * 12; moments > 0; moments--) {
        for (let lines = random() * 40; lines > 0; lines--)
          write(folder, alert(`${written++}`, 'x'.repeat(random() * 900)));
        await wait(random() * 15);
      }
    };
    for (let kill = 0; kill < kills; kill++) {
      const { child } = await ship(t, forwarder.url, { folder });
      const isForwarders = random() < 0.3;
      if (isForwarders) await forwarder.stop();
      await load();
      if (isForwarders) await forwarder.start();
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const { child, said, says } = await ship(t, forwarder.url, { folder });
    // There may be nothing left for it, and before that it cannot be asked to stop.
    await says('shipping alerts from');
    await until('all have come', () => forwarder.events.size >= written, 60_000).catch(() => undefined);
    const came = new Set(forwarder.outputs());
    const missing = Array.from({ length: written }, (_, at) => at).filter((at) => !came.has(`${at}`));
    assert.deepEqual(missing, [], said.err);
    assert.equal(forwarder.events.size, written, 'what came twice came under the same key');
    assert.equal(await stopped(child), 0, said.err);
    const twice = forwarder.lines() - written;
    t.diagnostic(`${written} alerts, ${twice} of them came twice`);
    assert.ok(twice > 0, 'a test that kills in the middle of something');
  });
});
