/** Files edited without a change to any other byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFile, NotYaml, unicodeText } from '../../src/yaml/falco-yaml.ts';
import { rounds } from '../rounds.ts';

test('property: bytes that are not edited stay, whatever they are', () => {
  const mark = fc.constantFrom<readonly number[]>([], [0xef, 0xbb, 0xbf]);
  const rest = fc
    .uint8Array({ minLength: 4, maxLength: 40 })
    .map((bytes) => [0x2d, 0x20, 0x61, 0x3a, ...bytes]);
  fc.assert(
    fc.property(mark, rest, (first, others) => {
      const file = decodeFile(Buffer.from([...first, ...others]));
      assert.deepEqual(Buffer.from(file.text, 'latin1'), Buffer.from(others));
      assert.deepEqual(
        file.encoded(`${file.text}tag`),
        Buffer.from([...first, ...others, ...Buffer.from('tag')]),
      );
    }),
    rounds(300),
  );
});

test('UTF-16 and UTF-32 are told apart, with a mark and without', () => {
  for (const text of ['\uFEFF- a', '- a']) {
    const utf16 = () => Buffer.from(text, 'utf16le');
    const utf32 = () =>
      Buffer.concat([...text].map((one) => Buffer.of(one.charCodeAt(0) % 256, one.charCodeAt(0) >> 8, 0, 0)));
    for (const bytes of [utf16(), utf16().swap16(), utf32(), utf32().swap32()])
      assert.throws(() => decodeFile(bytes), NotYaml);
  }
});

test('bytes that are no UTF-8 have no text', () => {
  assert.equal(unicodeText('caf\xe9'), undefined);
  assert.equal(unicodeText('caf\xc3\xa9'), 'café');
});
