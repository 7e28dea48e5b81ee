/** Files in the encodings that Falco's parser takes, edited without a change to any other byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyEdits, byteText, decodeFile, unicodeText } from '../../src/yaml/falco-yaml.ts';
import { rounds } from '../rounds.ts';

function encode(text: string, unit: 2 | 4, bigEndian: boolean): Buffer {
  const little =
    unit === 2
      ? Buffer.from(text, 'utf16le')
      : Buffer.concat(
          Array.from(text, (character) => {
            const bytes = Buffer.alloc(4);
            bytes.writeUInt32LE(character.codePointAt(0) ?? 0);
            return bytes;
          }),
        );
  if (!bigEndian) return little;
  return unit === 2 ? little.swap16() : little.swap32();
}

const encodings: Readonly<Record<string, (text: string) => Buffer>> = {
  'UTF-8': (text) => Buffer.from(text),
  'UTF-8 with a mark': (text) => Buffer.from(`\uFEFF${text}`),
  'UTF-16 LE with a mark': (text) => encode(`\uFEFF${text}`, 2, false),
  'UTF-16 BE with a mark': (text) => encode(`\uFEFF${text}`, 2, true),
  'UTF-16 LE without a mark': (text) => encode(text, 2, false),
  'UTF-16 BE without a mark': (text) => encode(text, 2, true),
  'UTF-32 LE with a mark': (text) => encode(`\uFEFF${text}`, 4, false),
  'UTF-32 BE with a mark': (text) => encode(`\uFEFF${text}`, 4, true),
  'UTF-32 LE without a mark': (text) => encode(text, 4, false),
  'UTF-32 BE without a mark': (text) => encode(text, 4, true),
};
for (const [name, encoded] of Object.entries(encodings)) {
  test(`edited in its own encoding: ${name}`, () => {
    const file = decodeFile(encoded('- é: 折 😀\n- b\n'));
    assert.equal(unicodeText(file.text), '- é: 折 😀\n- b\n');
    const at = file.text.indexOf('\n');
    const edits = [
      { at, length: 0, text: byteText(', ☃ 😀') },
      { at: file.text.length - 2, length: 1, text: 'c' },
    ];
    const edited = applyEdits(file.text, edits);
    assert.deepEqual(file.encoded(edited, edits), encoded('- é: 折 😀, ☃ 😀\n- c\n'));
  });
}

test('property: bytes that are not edited stay, whatever they are', () => {
  const mark = fc.constantFrom<readonly number[]>(
    ...[
      [],
      [0xef, 0xbb, 0xbf],
      [0xff, 0xfe],
      [0xfe, 0xff],
      [0xff, 0xfe, 0, 0],
      [0, 0, 0xfe, 0xff],
      [0x2d, 0],
    ],
  );
  fc.assert(
    fc.property(mark, fc.uint8Array({ maxLength: 40 }), fc.nat(), (first, rest, place) => {
      const bytes = Buffer.from([...first, ...rest]);
      const file = decodeFile(bytes);
      assert.deepEqual(file.encoded(file.text, []), bytes);
      // Where a character begins.
      const places = [...file.text].flatMap((byte, at) => (byte < '\x80' || byte >= '\xc0' ? [at] : []));
      const at = places[place % Math.max(places.length, 1)] ?? 0;
      const edits = [{ at, length: 0, text: 'tag' }];
      const edited = file.encoded(applyEdits(file.text, edits), edits);
      const added = edited.length - bytes.length;
      const found = Array.from({ length: bytes.length + 1 }, (_, from) =>
        Buffer.concat([edited.subarray(0, from), edited.subarray(from + added)]).equals(bytes),
      );
      assert.ok(added > 0 && found.includes(true));
    }),
    rounds(300),
  );
});

test('bytes that are no UTF-8 have no text', () => {
  assert.equal(unicodeText('caf\xe9'), undefined);
  assert.equal(unicodeText('caf\xc3\xa9'), 'café');
});
