/** Rooms import inwards only: every import of every file of src, by the table in may-import.ts. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../real/places.ts';
import { mayImport, packageOf } from './may-import.ts';

const src = path.join(root, 'src');
const files = globSync('**/*.ts', { cwd: src });
const roomOf = (file: string): string => path.dirname(file).replace(/^\.$/, '');

/** @returns why a file of src may not have an import; undefined: it may */
function whyNot(file: string, imported: string, typesOnly = false): string | undefined {
  const room = roomOf(file);
  const allowed = mayImport[room];
  if (allowed === undefined) return `${file}: room "${room}" has no row in test/rooms/may-import.ts`;
  if (!imported.startsWith('.')) {
    const rooms = packageOf[imported];
    return typesOnly || rooms === undefined || rooms.includes(room) ? undefined : `${file}: ${imported}`;
  }
  const other = roomOf(path.join(room, imported));
  const may = other === room || allowed.includes(other) || (allowed.includes('every room') && other !== '');
  return may ? undefined : `${file}: ${imported}`;
}

/** The static imports, exports from elsewhere and dynamic imports of a file. */
const importsOf = (text: string): readonly { readonly imported: string; readonly typesOnly: boolean }[] =>
  [
    ...text.matchAll(/^(?:import|export)\s+(?:(type)\b)?[^'";]*?\bfrom\s+'([^']+)'/gm),
    ...text.matchAll(/^(import)\s+'([^']+)'/gm),
    ...text.matchAll(/\b(import)\(\s*'([^']+)'\s*\)/g),
  ].map(([, type, imported = '']) => ({ imported, typesOnly: type === 'type' }));

describe('rooms', () => {
  test('import what they may', () => {
    const wrong = files.flatMap((file) =>
      importsOf(readFileSync(path.join(src, file), 'utf8')).flatMap(
        ({ imported, typesOnly }) => whyNot(file, imported, typesOnly) ?? [],
      ),
    );
    assert.deepEqual(wrong, []);
  });

  test('of the table are there', () => {
    const rooms = new Set(files.map(roomOf));
    assert.deepEqual(
      Object.entries(mayImport)
        .flatMap(([room, others]) => [room, ...others])
        .filter((room) => room !== 'every room' && !rooms.has(room)),
      [],
    );
  });

  test('imports are found in all their forms', () => {
    assert.deepEqual(
      importsOf(`import a from './a.ts';
import type { B } from 'b';
import { type C, d } from 'd';
import 'e';
export type { F } from './f.ts';
export * from './g.ts';
import {
  h,
} from '../h/h.ts';
const i = async () => (await import('./i.ts')).i;
`).map(({ imported, typesOnly }) => (typesOnly ? `type ${imported}` : imported)),
      ['./a.ts', 'type b', 'd', 'type ./f.ts', './g.ts', '../h/h.ts', 'e', './i.ts'],
    );
  });

  for (const [file, imported] of [
    // Of rooms below a room: a row of their own, not that of the room.
    ['injection/falco/places.ts', '../../forwarding/spool.ts'],
    ['injection/falcosidekick/hub.ts', '../../forwarding/spool.ts'],
    ['rules/configuration/paths.ts', '../../forwarding/spool.ts'],
    ['rules/tagging/tag-edit.ts', '../../forwarding/spool.ts'],
    ['rules/publishing/publish.ts', '../../server/listen.ts'],
    ['injection/falco/places.ts', '../falcosidekick/hub.ts'],
    ['injection/image.ts', '../rules/publishing/publish.ts'],
    ['rules/tagging/tag-edit.ts', '../publishing/publish.ts'],
    ['yaml/token.ts', '../reasons/reasons.ts'],
    ['reasons/reasons.ts', '../background/pause-after.ts'],
    ['settings/load.ts', '../federation/names.ts'],
    ['server/listen.ts', '../commands/command.ts'],
    ['commands/forward/flags.ts', '../../server/listen.ts'],
    ['cluster/pods.ts', '../main.ts'],
    ['coverage/survey.ts', '@kubernetes/client-node'],
    ['somewhere/new.ts', '../reasons/reasons.ts'],
  ] as const) {
    test(`${file} may not import ${imported}`, () => assert.ok(whyNot(file, imported)));
  }
});
