/** What the image weighs, and what its follower costs: of the last image that `npm run real` has built. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Section } from './figures.ts';
import { shown } from './figures.ts';
import { root } from './webhook.ts';

/** What `npm run real` leaves: sizes in bytes, and what following costs. */
const file = join(root, '.cache/image/figures.json');

export function image(): Section {
  const name = 'Image, and its follower';
  if (!existsSync(file)) {
    const notes = [
      'left out: no image has been built here; npm run real builds one and measures its follower',
    ];
    return { name, table: [], targets: [], notes, data: undefined };
  }
  const { compressed, uncompressed, follow } = JSON.parse(readFileSync(file, 'utf8'));
  const mebibytes = (bytes: number): string => `${shown(bytes / 2 ** 20)} MiB`;
  const { idle, updates } = follow;
  return {
    name,
    table: [
      ['what', 'figure'],
      ['image, compressed', mebibytes(compressed)],
      ['image, unpacked', mebibytes(uncompressed)],
      [`follower, idle for ${idle.seconds} s: resident`, mebibytes(idle.residentKb * 1024)],
      ['its processor time, and wake-ups', `${shown(idle.cpuSeconds)} s, ${idle.wakeUps}`],
      [
        `${updates.count} updates: until tagged, median and longest`,
        `${shown(updates.medianSeconds)} s, ${shown(updates.longestSeconds)} s`,
      ],
      [
        'processor time of each, and the most memory',
        `${shown(updates.cpuSecondsEach)} s, ${mebibytes(updates.peakKb * 1024)}`,
      ],
      ['reloads of Falco that they cause', String(updates.publications)],
    ],
    targets: [
      { what: 'image, compressed', limit: 60, unit: 'MiB', is: compressed / 2 ** 20 },
      { what: 'follower, idle', limit: 8, unit: 'MiB', is: idle.residentKb / 1024 },
    ],
    notes: [],
    data: { compressed, uncompressed, follow },
  };
}
