/**
 * Whatever a manifest looks like, a reader of YAML 1.1 that is not ours finds in the injected one what was there and
 * what the webhook would have added, and the text that is not touched is the same to the byte.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import fastJsonPatch from 'fast-json-patch';
import { load, YAML11_SCHEMA } from 'js-yaml';
import { parse } from 'yaml';
import { injectObject } from '../../src/admission/inject-object.ts';
import { patchedYaml } from '../../src/documents/edit.ts';
import { injectStream } from '../../src/documents/inject-stream.ts';
import { splitDocuments } from '../../src/documents/split.ts';
import { isRecord } from '../../src/injection/record.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { settingsFrom } from '../injection/pods.ts';
import { upstream } from '../injection/reviews.ts';
import { rounds } from '../rounds.ts';
import { manifests, wordsOfYaml } from './manifests.ts';

const spoke = settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n');

/** As the independent reader has it; nothing of it is shared, aliases written out. */
function loaded(text: string): unknown {
  const object = load(text, { schema: YAML11_SCHEMA, json: true });
  // Dates become texts, as they are for kubectl, in both documents alike.
  return JSON.parse(JSON.stringify(object ?? null));
}

/** The document as the webhook would have it: its own patch on what the reader found. */
function expected(object: unknown, settings: Settings): unknown {
  assert.ok(isRecord(object) && typeof object.kind === 'string');
  const { patch } = injectObject(object, object.kind, settings, undefined);
  return fastJsonPatch.applyPatch(object, JSON.parse(JSON.stringify(patch))).newDocument;
}

function assertEdited(text: string, settings: Settings): string {
  const { output, problems, reports } = injectStream(text, { settings, namespace: undefined });
  assert.deepEqual(problems, []);
  assert.equal(reports[0]?.reason.code, 'injected');
  assert.deepEqual(loaded(output), expected(loaded(text), settings));
  const again = injectStream(output, { settings, namespace: undefined });
  assert.equal(again.output, output, 'a second injection changes something');
  return output;
}

/** Comments, and plain scalars whose spelling is easily lost. */
const spelled = /(?<=^|[ \t])# [^\r\n]*|(?<=[\s[{,])(?:[-+.]?\d[\w.:+-]*|yes|off)(?=[\s,}\]]|$)/gm;

/** The first of them that another text does not have in the same order. */
function firstLost(before: string, after: string): string | undefined {
  const found = after.matchAll(spelled);
  return [...before.matchAll(spelled)].find(({ 0: word }) => !found.some(({ 0: one }) => one === word))?.[0];
}

const cases = path.join(import.meta.dirname, 'cases');
const update = process.env.UPDATE === '1';

/** What `inject` says of a stream: its reports, what it could not read, whether it failed. */
function reportOf({ reports, problems, failed }: ReturnType<typeof injectStream>): string {
  const lines = [
    ...reports.map(({ about, reason }) => `${about}: ${reason.code}`),
    ...problems,
    failed ? 'failed' : 'done',
  ];
  return `${lines.join('\n')}\n`;
}

describe('streams', () => {
  for (const name of readdirSync(cases)) {
    test(name, () => {
      const file = (one: string): string => path.join(cases, name, one);
      const settings = settingsFrom(readFileSync(file('settings.yaml'), 'utf8'));
      const input = readFileSync(file('input.yaml'), 'utf8');
      const result = injectStream(input, { settings, namespace: undefined });
      if (update) {
        writeFileSync(file('output.yaml'), result.output);
        writeFileSync(file('report.txt'), reportOf(result));
      }
      assert.equal(result.output, readFileSync(file('output.yaml'), 'utf8'));
      assert.equal(reportOf(result), readFileSync(file('report.txt'), 'utf8'));
      const again = injectStream(result.output, { settings, namespace: undefined });
      assert.equal(again.output, result.output, 'a second injection changes something');
    });
  }
});

describe('edits of a manifest', () => {
  test("upstream's charts: what the webhook adds is added, and nothing else is changed", (t) => {
    const folder = path.join(upstream, 'manifests');
    if (!existsSync(folder)) {
      t.diagnostic('left out: the rendered charts are not here (FEDERATION_UPSTREAM names their folder)');
      return;
    }
    for (const name of readdirSync(folder)) {
      const text = readFileSync(path.join(folder, name), 'utf8');
      // Each document by itself too, so without the Secrets that falcosidekick's environment is from.
      const withoutSecrets = splitDocuments(text).filter((piece) => !/^kind: Secret$/m.test(piece));
      const { output } = injectStream(withoutSecrets.join(''), { settings: spoke, namespace: undefined });
      const [before, after] = [withoutSecrets, splitDocuments(output)];
      assert.equal(after.length, before.length, name);
      before.forEach((piece, at) => {
        const edited = after[at] ?? '';
        if (edited !== piece) assert.equal(assertEdited(piece, spoke), edited, name);
        assert.equal(firstLost(piece, edited), undefined, name);
      });
    }
  });

  test('generated manifests: what the webhook adds is added; comments and numbers stay where no alias is in the way', () => {
    const settings = fc
      .constantFrom(...wordsOfYaml, 'staging')
      .map((cluster) =>
        settingsFrom(`cluster: ${JSON.stringify(cluster)}\nlabels: {env: ${JSON.stringify(cluster)}}\n`),
      );
    fc.assert(
      fc.property(manifests, settings, (text, one) => {
        // Where an alias gives way the data is written anew, as kubectl reads it: other readers see times and dates.
        fc.pre(!text.includes('*') || !/12:30:45|2024-01-01/.test(text));
        const edited = assertEdited(text, one);
        if (!text.includes('*')) assert.equal(firstLost(text, edited), undefined);
      }),
      rounds(40),
    );
  });

  test('texts of ours are texts for every reader, in lines and in brackets', () => {
    const words = fc.constantFrom(
      ...wordsOfYaml,
      '',
      '~',
      '=',
      '<<',
      '.inf',
      '1:30',
      '-',
      '?',
      'a?b',
      ':a',
      '\x7f',
    );
    fc.assert(
      fc.property(fc.oneof(words, fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' })), (text) => {
        fc.pre(text.isWellFormed() && text !== '__proto__');
        const wanted = { a: { b: [text, { [text]: text }] } };
        for (const before of ['a: {b: []}\n', 'a:\n  b:\n']) {
          const document = patchedYaml(before, [{ op: 'replace', path: '/a/b', value: wanted.a.b }]) ?? '';
          assert.deepEqual(load(document, { schema: YAML11_SCHEMA }), wanted);
          assert.deepEqual(parse(document, { version: '1.1' }), wanted);
          assert.deepEqual(parse(document, { version: '1.2' }), wanted);
        }
      }),
      rounds(100),
    );
  });

  const json = (spec: string): string => `{"kind":"Pod","metadata":{"name":"falco"},"spec":${spec}}`;

  test('JSON: numbers keep their spelling, and the text its indentation', () => {
    const compact = json(
      '{"priority":1e3,"x":9223372036854775807,"y":"\\u00e9\\/","containers":[{"name":"falco","args":["/usr/bin/falco"]}]}',
    );
    const options = { settings: spoke, namespace: undefined };
    const { output } = injectStream(compact, options);
    assert.deepEqual(JSON.parse(output), expected(JSON.parse(compact), spoke));
    assert.match(output, /"priority":1e3,"x":9223372036854775807,"y":"é\/",/);
    assert.doesNotMatch(output, /\n/);

    const lines =
      '{\n\t"kind": "Pod",\n\t"metadata": {},\n\t"spec": {"x": 1.0, "containers": [{"name": "falco", "args": ["/usr/bin/falco"]}]}\n}\n';
    const indented = injectStream(lines, options).output;
    assert.match(
      indented,
      /^\t"metadata": \{\n\t\t"labels": \{\n\t\t\t"falco-federation.io\/cluster": "staging"\n/m,
    );
    assert.match(indented, /^\t\t"x": 1\.0,$/m);
    assert.equal(injectStream(indented, options).output, indented);
  });

  test('JSON between documents of YAML stays JSON', () => {
    const document = json('{"containers":[{"name":"falco","args":["/usr/bin/falco"]}]}');
    const { output } = injectStream(`kind: Service\n---\n${document}\n`, {
      settings: spoke,
      namespace: undefined,
    });
    const [first, second = ''] = output.split('---\n');
    assert.equal(first, 'kind: Service\n');
    assert.deepEqual(JSON.parse(second), expected(JSON.parse(document), spoke));
  });

  test("a byte order mark stays in front and is in nobody's way", () => {
    const text = '\uFEFFkind: Pod\nspec:\n  containers:\n    - {name: falco, args: [/usr/bin/falco]}\n';
    const { output, reports } = injectStream(text, { settings: spoke, namespace: undefined });
    assert.equal(reports[0]?.reason.code, 'injected');
    assert.ok(output.startsWith('\uFEFFkind: Pod\nspec:\n'));
    assert.match(output, /^metadata:\n {2}labels:$/m);
  });
});
