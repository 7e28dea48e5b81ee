/**
 * `npm run bench`: one command, one run, ratios beside absolute figures. Options:
 *
 *     --quick             few and short rounds: to try it, not to believe it
 *     --only a,b          of admission, memory, tagging, image, forwarding, shipping, hub
 *     --json FILE         where everything measured goes (.cache/bench/result.json)
 *
 * The client runs on the second core and the servers on the first. What is measured is the built program, started by the
 * launcher as in the image, on the Node of the npm package.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { admission } from './admission.ts';
import { isMet, print, type Section } from './figures.ts';
import { forwarding } from './forwarding.ts';
import { hub } from './hub.ts';
import { image } from './image.ts';
import { memoryAndStart } from './memory.ts';
import { canPin } from './processes.ts';
import { shipping } from './shipping.ts';
import { tagging } from './tagging.ts';
import { build, makePlace, type Place, root } from './webhook.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'admission,memory,tagging,image,forwarding,shipping,hub' },
    json: { type: 'string', default: join(root, '.cache/bench/result.json') },
  },
});
const { quick, only, json } = values;

const parts: Readonly<Record<string, (place: Place) => Section | Promise<Section>>> = {
  admission: (place) => admission(place, quick ? { rounds: 3, seconds: 0.5 } : { rounds: 7, seconds: 2 }),
  memory: (place) =>
    memoryAndStart(
      place,
      quick ? { starts: 3, idleSeconds: 2, loadSeconds: 2 } : { starts: 9, idleSeconds: 10, loadSeconds: 15 },
    ),
  tagging: (place) => tagging(place, quick ? 3 : 9),
  image: () => image(),
  forwarding: (place) =>
    forwarding(place, quick ? { seconds: 1, waiting: 20_000 } : { seconds: 5, waiting: 1_000_000 }),
  hub: (place) =>
    hub(place, { spokes: 100, ...(quick ? { seconds: 2, single: 10 } : { seconds: 20, single: 100 }) }),
  shipping: (place) =>
    shipping(
      place,
      quick
        ? { alerts: 3_000, single: 20, idleSeconds: 10 }
        : { alerts: 3_000, single: 200, idleSeconds: 120 },
    ),
};

const unknown = only.split(',').filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  console.error(
    `--only ${only}: there is no ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`,
  );
  process.exit(2);
}

/** What the figures depend on. */
const machine = {
  processor: `${cpus()[0]?.model ?? '?'}, ${cpus().length} cores`,
  kernel: release(),
  node: process.version,
  version: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
  revision: spawnSync('git', ['describe', '--always', '--dirty'], {
    cwd: root,
    encoding: 'utf8',
  }).stdout.trim(),
};

console.log(
  Object.entries(machine)
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n'),
);
build();
if (canPin) execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', '1', String(process.pid)]);
const sections: Section[] = [];
const place = await makePlace();
try {
  for (const name of only.split(',')) {
    const section = await parts[name]?.(place);
    if (section === undefined) continue;
    print(section);
    sections.push(section);
  }
} finally {
  place.remove();
}
const targets = sections.flatMap((section) => section.targets);
mkdirSync(dirname(json), { recursive: true });
writeFileSync(json, `${JSON.stringify({ machine, quick, targets, sections }, null, 2)}\n`);
console.log(`\n${targets.filter(isMet).length} of ${targets.length} targets met; all figures: ${json}`);
