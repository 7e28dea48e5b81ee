import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { SettingsProblem } from '../../src/settings/load.ts';
import { watchSettings } from '../../src/settings/watch.ts';
import { settingsFrom } from '../injection/pods.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { mountSettings } from './mounted-settings.ts';

test('settings follow their ConfigMap; a bad one leaves the last good ones in force, and says where it is bad', async () => {
  const { file, swap } = mountSettings(temporaryFolder('settings-'), 'cluster: one\n');
  let changed: (problems: readonly SettingsProblem[]) => void = () => {};
  const change = (): Promise<readonly SettingsProblem[]> =>
    new Promise((resolve) => {
      changed = resolve;
    });
  const settings = watchSettings(file, settingsFrom('cluster: one\n'), 5, (problems) => changed(problems));

  let next = change();
  swap('cluster: two\n');
  assert.deepEqual(await next, []);
  assert.equal(settings.current().cluster, 'two');
  const good = settings.current();

  next = change();
  swap('cluster: three\nrole: leaf\n');
  assert.deepEqual(
    (await next).map((problem) => [problem.path, problem.position]),
    [['role', '2:7']],
  );
  assert.equal(settings.current(), good);
  assert.equal(settings.problems().length, 1);

  next = change();
  rmSync(file);
  assert.match((await next)[0]?.message ?? '', /cannot be read/);
  assert.equal(settings.current(), good);

  next = change();
  writeFileSync(file, '# the same in other words\ncluster: "two"\n');
  assert.deepEqual(await next, []);
  assert.equal(settings.current(), good, 'the very same object');
  settings.stop();
});
