/** A Falco that posts to nobody posts to the forwarder; one that posts somewhere is left alone. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import { tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import {
  falcoIn,
  ourArguments,
  output,
  plant,
  rule,
  runIn,
  stepAndRename,
  type Tree,
} from './temporary-tree.ts';

const postTo = 'http://forwarder.example:2801';

interface SetUp {
  readonly tree?: Tree;
  readonly options?: readonly string[];
  readonly version?: string;
}

function planted({ tree = {}, options = [], version = '0.44.1' }: SetUp) {
  const root = plant({ 'a.yaml': rule('A'), ...tree });
  const falcoArguments = [...options.flatMap((option) => ['-o', option]), ...ourArguments];
  return { root, run: runIn(root, { falcoArguments, version: readFalcoVersion(version), postTo }) };
}

/** The drop-in that is there; undefined where there is none. */
function dropIn(root: string): Record<string, unknown> | undefined {
  const disk = publishingDisk(root);
  const path = `${output}/federation.yaml`;
  return disk.kind(path) === 'file' ? parse(disk.read(path).toString()) : undefined;
}

function codes(setUp: SetUp): {
  readonly codes: readonly string[];
  readonly dropIn: ReturnType<typeof dropIn>;
} {
  const { root, run } = planted(setUp);
  const report = tagAndPublish(run);
  assert.equal(report.outcome.code, 'rules_tagged');
  return { codes: report.findings.map(({ code }) => code), dropIn: dropIn(root) };
}

const listing = 'rules_files: [/etc/falco/a.yaml]\n';
const ours = { json_output: true, http_output: { enabled: true, url: postTo } };

describe('Falco posts to nobody', () => {
  const setUps: Readonly<Record<string, SetUp>> = {
    'and says nothing of it': {},
    'as the chart writes it': {
      tree: { 'falco.yaml': `${listing}http_output:\n  enabled: false\n  url: ""\njson_output: false\n` },
    },
    'by a word of YAML 1.1': { tree: { 'falco.yaml': `${listing}http_output: {enabled: off}\n` } },
    'and a drop-in turns it off': {
      tree: {
        'falco.yaml': `${listing}http_output: {enabled: true, url: "http://x"}\nconfig_files: [{path: /etc/falco/d.yaml, strategy: override}]\n`,
        'd.yaml': 'http_output: {enabled: false}\n',
      },
    },
    'and an option asks for JSON': { options: ['json_output=true'] },
  };
  for (const [name, setUp] of Object.entries(setUps)) {
    test(`${name}: it is made to`, () => {
      const result = codes(setUp);
      assert.deepEqual(result.codes, ['alerts_posted_to_forwarder']);
      assert.deepEqual({ ...result.dropIn, ...ours }, result.dropIn);
      assert.ok(Array.isArray(result.dropIn?.rules_files));
    });
  }

  test('up to 0.40 too, where the drop-in replaces whole keys', () => {
    const { root, run } = planted({ version: '0.39.2' });
    const old = { ...run, falcoArguments: ['-o', `config_files[]=${output}`] };
    assert.deepEqual(
      tagAndPublish(old).findings.map(({ code }) => code),
      ['alerts_posted_to_forwarder'],
    );
    assert.deepEqual({ ...dropIn(root), ...ours }, dropIn(root));
  });
});

describe('Falco posts somewhere, or its arguments say so', () => {
  const on = 'http_output: {enabled: true, url: "http://falcosidekick:2801"}\n';
  const setUps: Readonly<Record<string, readonly [setUp: SetUp, code: string]>> = {
    'to falcosidekick, as the chart writes it': [
      { tree: { 'falco.yaml': listing + on } },
      'alerts_posted_by_user',
    ],
    'by a drop-in': [
      {
        tree: {
          'falco.yaml': `${listing}config_files: [/etc/falco/d.yaml]\n`,
          'd.yaml': on,
        },
      },
      'alerts_posted_by_user',
    ],
    'by options': [
      { options: ['http_output.enabled=true', 'http_output.url=http://x'] },
      'alerts_posted_by_user',
    ],
    'perhaps, by a variable': [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Falco that expands it.
      { tree: { 'falco.yaml': `${listing}http_output: {enabled: "${'${POSTS}'}"}\n` } },
      'alerts_posted_by_user',
    ],
    'not, says an option': [{ options: ['http_output.enabled=false'] }, 'alerts_not_posted'],
    'to an address of an option, if at all': [{ options: ['http_output.url=http://x'] }, 'alerts_not_posted'],
    'in plain text, says an option': [{ options: ['json_output=false'] }, 'alerts_not_posted'],
  };
  for (const [name, [setUp, code]] of Object.entries(setUps)) {
    test(`${name}: left alone`, () => {
      const { root, run } = planted(setUp);
      const report = tagAndPublish({ ...run, lookup: () => undefined });
      // What the rules came to is another matter.
      assert.equal(report.outcome.code, 'rules_tagged');
      assert.deepEqual(
        report.findings.map((finding) => finding.code),
        [code],
      );
      assert.deepEqual(Object.keys(dropIn(root) ?? {}), ['rules_files']);
    });
  }
});

test('without --post-to nothing is said or done about it', () => {
  const { root, run } = planted({});
  assert.deepEqual(tagAndPublish({ ...run, postTo: undefined }).findings, []);
  assert.deepEqual(Object.keys(dropIn(root) ?? {}), ['rules_files']);
});

test('where no rules can be tagged it posts all the same, with its own list of rules', () => {
  const { root, run } = planted({ tree: { 'falco.yaml': 'rules_files: [/nowhere.yaml]\n' } });
  const report = tagAndPublish(run);
  assert.equal(report.outcome.code, 'rules_none_visible');
  assert.deepEqual(dropIn(root), ours);
});

test('following: what was published stays while the rules are away, and posting with it', () => {
  const { root, run } = planted({ tree: { 'falco.yaml': listing } });
  const signature = (path: string): string => path;
  stepAndRename(run, signature, 'start');
  const before = dropIn(root);
  assert.deepEqual({ ...before, ...ours }, before);
  rmSync(join(root, 'etc/falco/a.yaml'));
  const { report } = stepAndRename(run, signature, 'still');
  assert.deepEqual(dropIn(root), before);
  assert.ok(report?.findings.some(({ code }) => code === 'rules_previous_kept'));
  assert.deepEqual(falcoIn(root).rules, [{ name: 'A', tags: ['own', 'staging'] }]);
});
