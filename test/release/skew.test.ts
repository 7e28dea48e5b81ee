/** What a released version injects and reports: today's program takes it (docs/release.md). A folder entry a version. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { reportedCodes } from '../../src/coverage/tagging-report.ts';
import { readStatus } from '../../src/injection/status.ts';
import { temporaryFolder } from '../temporary-folder.ts';

interface Released {
  /** Arguments of the injected init container; OUTPUT and CONFIG are places. */
  readonly tagRules: readonly string[];
  readonly status: string;
  /** What its `tag-rules` leaves as termination message. */
  readonly message: string;
}

const folder = path.join(import.meta.dirname, 'skew');
const main = path.join(import.meta.dirname, '../../src/main.ts');

for (const file of readdirSync(folder)) {
  // Safe: the tests below say so where it is not.
  const released = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Released;

  describe(`beside version ${path.basename(file, '.json')}`, () => {
    test('what it has a container run tags the rules', () => {
      const place = temporaryFolder('skew-');
      const at = (name: string): string => path.join(place, name);
      writeFileSync(
        at('rules.yaml'),
        '- rule: A\n  desc: d\n  condition: evt.num=1\n  output: o\n  priority: NOTICE\n',
      );
      writeFileSync(at('falco.yaml'), `rules_files: [${at('rules.yaml')}]\nconfig_files: []\n`);
      mkdirSync(at('out'));
      const args = released.tagRules.map((arg) =>
        arg.replace('OUTPUT', at('out')).replace('CONFIG', at('falco.yaml')),
      );
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /rules_tagged/);
      const dropIn = parse(readFileSync(at('out/federation.yaml'), 'utf8'));
      assert.equal(dropIn.rules_files.length, 1);
      assert.equal(dropIn.file_output.filename, '/var/lib/falco-federation-alerts/live/alerts.jsonl');
    });

    test('what it writes on pods is read', () => {
      const annotations = { 'falco-federation.io/status': released.status };
      const status = readStatus({ metadata: { annotations }, spec: { containers: [] } });
      assert.ok(status !== undefined);
      assert.equal(status.version, path.basename(file, '.json'));
      assert.equal(status.settings.length, 12);
      assert.ok(status.added.length > 0 && status.findings.length > 0);
    });

    test('what its containers leave behind is read', () => {
      const terminated = { exitCode: 0, message: released.message };
      const state = {
        name: 'falco-federation-tag-rules',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
      };
      const codes = reportedCodes(
        { initContainerStatuses: [{ ...state, state: { terminated } }] },
        'falco-federation-tag-rules',
      );
      assert.deepEqual(codes, ['rules_tagged_in_part', 'rules_rule_not_tagged']);
    });
  });
}
