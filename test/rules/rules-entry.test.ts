/** Which paths are rules files to Falco: by where in the path an ending stands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { tagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { rounds } from '../rounds.ts';
import { runFalco, sorted } from './falco-model.ts';
import { output, plant, rule, runIn } from './temporary-tree.ts';

const piece = fc.constantFrom('a', 'b', '.yaml', '.yml', '.d', '.YAML', '.', '-');
const name = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(''));
const file = name.filter((one) => !/^\.+$/.test(one));
const folder = file.map((one) => `in-${one}`);

const versions = {
  '0.44.1': `config_files[]={"path": "${output}", "strategy": "override"}`,
  '0.40.0': `config_files[]=${output}`,
} as const;

test('however files and folders are named, Falco loads the same rules with the tag', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('0.44.1', '0.40.0'),
      fc.uniqueArray(file, { minLength: 1, maxLength: 3 }),
      folder,
      fc.uniqueArray(file, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (version, alone, below, inside, added) => {
        const listed = [...alone, below].map((one) => `/etc/falco/x/${one}`);
        const paths = [...alone.map((one) => `x/${one}`), ...inside.map((one) => `x/${below}/${one}`)];
        const root = plant({
          'falco.yaml': `rules_files: ${JSON.stringify(listed)}\n`,
          'more.yaml.yml': rule('added'),
          ...Object.fromEntries(paths.map((path) => [path, rule(path)])),
        });
        // Up to 0.40 options count before drop-ins: there is no folder for what they add.
        const own = added ? ['-o', 'rules_files[]=/etc/falco/more.yaml.yml'] : [];
        const last = added && version === '0.44.1' ? ['-o', `rules_files[]=${output}/last`] : [];
        const args = [...own, '-o', versions[version], ...last];
        const old = version === '0.40.0';
        const before = runFalco({ root, args: own, env: {}, old });
        const report = tagAndPublish(
          runIn(root, { version: readFalcoVersion(version), falcoArguments: args }),
        );
        const after = runFalco({ root, args, env: {}, old });
        const tagged = before.rules.map((one) => ({ ...one, tags: sorted([...one.tags, 'staging']) }));
        assert.deepEqual(after, { ...before, rules: tagged, rulesFiles: after.rulesFiles });
        assert.equal(report.outcome.code, before.rules.length === 0 ? 'rules_none_visible' : 'rules_tagged');
        assert.equal(report.untagged, 0);
      },
    ),
    rounds(20),
  );
});
