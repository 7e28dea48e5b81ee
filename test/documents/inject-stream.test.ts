import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { injectStream } from '../../src/documents/inject-stream.ts';
import { splitDocuments } from '../../src/documents/split.ts';
import { settingsFrom } from '../injection/pods.ts';
import { upstream } from '../injection/reviews.ts';
import { processorTime } from '../processor-time.ts';
import { rounds } from '../rounds.ts';

const options = {
  settings: settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n'),
  namespace: undefined,
};

describe('a stream of documents', () => {
  test('is the same text again when its pieces are joined, whatever it holds', () => {
    const lines = fc.constantFrom(
      '---',
      '--- # c',
      '---x',
      ' ---',
      'a: |',
      '  ---',
      '...',
      '# c',
      'kind: Pod',
      '',
      '\t',
    );
    const ends = fc.constantFrom('\n', '\r\n');
    fc.assert(
      fc.property(fc.array(fc.tuple(lines, ends)), fc.boolean(), (parts, cut) => {
        const whole = parts.map(([line, end]) => line + end).join('');
        const text = cut ? whole.trimEnd() : whole;
        assert.equal(splitDocuments(text).join(''), text);
      }),
      rounds(100),
    );
  });

  test('has as many documents as YAML finds in it', () => {
    const text = 'a: 1\n---\nb: |\n  ---\n  c\n--- # d\n---\nlast: 1\n';
    const filled = splitDocuments(text).filter((piece) => /^\w/m.test(piece));
    assert.equal(
      filled.length,
      parseAllDocuments(text).filter((document) => document.toJS() !== null).length,
    );
  });

  test("upstream's charts: what is not injected stays byte for byte, and nothing is to do twice", (t) => {
    const folder = path.join(upstream, 'manifests');
    if (!existsSync(folder)) {
      t.diagnostic('left out: the rendered charts are not here (FEDERATION_UPSTREAM names their folder)');
      return;
    }
    for (const name of readdirSync(folder)) {
      const text = readFileSync(path.join(folder, name), 'utf8');
      const { output, reports, problems } = injectStream(text, options);
      assert.deepEqual(problems, [], name);
      const [before, after] = [splitDocuments(text), splitDocuments(output)];
      assert.equal(after.length, before.length, name);
      const changed = after.filter((piece, at) => piece !== before[at]);
      const injected = reports.filter(({ reason }) => reason.code === 'injected');
      assert.equal(changed.length, injected.length, name);
      for (const piece of changed) assert.match(piece, /falco-federation\.io\/status/, name);
      assert.equal(injectStream(output, options).output, output, name);
    }
  });
});

describe('what is over a bound is passed on, and told', () => {
  const problemsOf = (text: string): readonly string[] => {
    const { output, problems } = injectStream(text, options);
    assert.equal(output, text);
    return problems;
  };

  // The library looks for each one's anchor anew: as many as are allowed take a second.
  test('more than 10,000 aliases', () => {
    const text = (aliases: number) => `a: &a x\nb: [${'*a, '.repeat(aliases)}]\n`;
    assert.deepEqual(problemsOf(text(10_000)), []);
    assert.match(problemsOf(text(10_001)).join(), /too many aliases/);
  });

  test('aliases that stand for more than 1,000,000 nodes', () => {
    const text = (times: number) => `a: &a [${'x, '.repeat(1_000)}]\nb: [${'*a, '.repeat(times)}]\n`;
    assert.deepEqual(problemsOf(text(990)), []);
    assert.match(problemsOf(text(1_000)).join(), /stand for too much/);
  });

  test('a pod template deeper than 50 levels is none', () => {
    const reasonAt = (depth: number): string | undefined => {
      const template = { spec: { containers: [{ name: 'falco', args: ['/usr/bin/falco'] }] } };
      let inner: object = template;
      for (let level = 1; level < depth; level += 1) inner = { inner };
      const text = JSON.stringify({ apiVersion: 'example.org/v1', kind: 'Fleet', spec: inner });
      return injectStream(text, options).reports[0]?.reason.code;
    };
    assert.deepEqual([reasonAt(50), reasonAt(51)], ['kind_not_injected', 'kind_without_pod']);
  });
});

describe('the work grows as the input does', () => {
  const pod = 'kind: Pod\nspec: {containers: [{name: falco, args: [/usr/bin/falco]}]}\n';
  /** Each with a size that takes some milliseconds. */
  const inputs: Readonly<Record<string, readonly [number, (size: number) => string]>> = {
    'comments with blanks behind them': [3000, (size) => `${'# a \n'.repeat(size)}${pod}`],
    'lines of blanks': [2000, (size) => `${`${' '.repeat(60)}\n`.repeat(size)}a: b\n`],
    'one line of blanks': [100_000, (size) => `# ${' '.repeat(size)}x\n${pod}`],
    'JSON with an open quote': [100_000, (size) => `{"a": "${'\\"'.repeat(size)}`],
    'JSON with blanks in it': [100_000, (size) => `{"kind": "Pod",${' '.repeat(size)}"spec": {}}`],
    brackets: [20_000, (size) => '['.repeat(size)],
    'keys twice': [1000, (size) => `${'a: b\n'.repeat(size)}${pod}`],
    'documents of nothing': [5000, (size) => '---\n# a\n'.repeat(size)],
  };
  for (const [name, [size, input]] of Object.entries(inputs)) {
    test(name, () => {
      const [small, large] = [size, 2 * size].map((one) => {
        const text = input(one);
        return processorTime(() => injectStream(text, options));
      });
      // Twice as long, and what the processor's caches and the collector of garbage add.
      assert.ok((large ?? 0) < 4 * (small ?? 0), `${small} ms became ${large} ms`);
    });
  }
});
