import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import fastJsonPatch from 'fast-json-patch';
import { parse } from 'yaml';
import { decide } from '../../src/admission/decide.ts';
import { injectStream } from '../../src/documents/inject-stream.ts';
import { sentenceOf } from '../../src/reasons/reasons.ts';
import { settingsFrom } from './pods.ts';
import { reviewOf } from './reviews.ts';

/**
 * Each folder is a case: `input.yaml` injected with `settings.yaml` gives `output.yaml` and `reason.txt`, through the
 * command line and through the webhook alike. `UPDATE=1 npm test` writes the last two anew: read the diff.
 */
const folder = path.join(import.meta.dirname, 'cases');
const files = ['input.yaml', 'output.yaml', 'reason.txt', 'settings.yaml'];

describe('injection cases', () => {
  for (const name of readdirSync(folder)) {
    test(name, () => {
      const file = (one: string): string => path.join(folder, name, one);
      const input = readFileSync(file('input.yaml'), 'utf8');
      const settings = settingsFrom(readFileSync(file('settings.yaml'), 'utf8'));

      const { output, reports, problems } = injectStream(input, { settings, namespace: undefined });
      assert.deepEqual(problems, []);
      const told = reports.flatMap(({ reason, findings }) => [reason, ...findings]).map(sentenceOf);
      const reason = `${told.join('\n')}\n`;
      if (process.env.UPDATE || !existsSync(file('output.yaml'))) {
        writeFileSync(file('output.yaml'), output);
        writeFileSync(file('reason.txt'), reason);
      }
      assert.equal(output, readFileSync(file('output.yaml'), 'utf8'));
      assert.equal(reason, readFileSync(file('reason.txt'), 'utf8'));
      assert.deepEqual(readdirSync(path.join(folder, name)).sort(), files, 'a file that no test uses');

      const object: unknown = parse(input);
      const decision = decide(reviewOf(object), {
        settings: () => settings,
        namespaceAnnotations: () => undefined,
      });
      assert.equal(`${[decision.reason, ...decision.findings].map(sentenceOf).join('\n')}\n`, reason);
      const patch = decision.answer?.response.patch;
      const operations = patch === undefined ? [] : JSON.parse(Buffer.from(patch, 'base64').toString());
      const patched = fastJsonPatch.applyPatch(structuredClone(object), operations, true).newDocument;
      assert.deepEqual(patched, parse(output), 'the webhook and the command line differ');

      const again = injectStream(output, { settings, namespace: undefined });
      assert.equal(again.output, output, 'a second injection changes something');
    });
  }
});
