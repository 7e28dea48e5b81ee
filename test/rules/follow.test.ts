/** Following: rules that come, change and go while Falco runs. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { falcoFileSystem, signatureOf } from '../../src/rules/configuration/file-system.ts';
import { follow } from '../../src/rules/publishing/follow.ts';
import type { RulesReport } from '../../src/rules/publishing/publication-plan.ts';
import { publishingDisk } from '../../src/rules/publishing/publish.ts';
import { rule, temporaryFolder } from './temporary-tree.ts';

/** A follower on a real folder, looking every 10 ms. */
function start(t: TestContext) {
  const folder = join(temporaryFolder(), 'falco');
  mkdirSync(folder);
  const at = (name: string): string => join(folder, name);
  mkdirSync(at('out'));
  mkdirSync(at('rules.d'));
  writeFileSync(at('falco.yaml'), `rules_files:\n  - ${at('a.yaml')}\n  - ${at('rules.d')}\n`);
  const reports: RulesReport[] = [];
  const waiting: (() => void)[] = [];
  const stop = new AbortController();
  t.after(() => stop.abort());
  const ended = (): Promise<void> =>
    follow({
      run: {
        fileSystem: falcoFileSystem(),
        disk: publishingDisk(),
        version: readFalcoVersion('0.44.1'),
        falcoArguments: [],
        configFile: at('falco.yaml'),
        lookup: () => undefined,
        output: at('out'),
        tags: ['staging'],
      },
      signature: signatureOf,
      tell: (report) => {
        reports.push(report);
        for (const go of waiting.splice(0)) go();
      },
      stop: stop.signal,
      every: 10,
    });
  const report = async (number: number): Promise<RulesReport> => {
    while (reports.length < number) await new Promise<void>((resolve) => waiting.push(resolve));
    const found = reports[number - 1];
    assert.ok(found);
    return found;
  };
  /** All tagged copies that the drop-in lists, as one text. */
  const published = (): string => {
    const text = existsSync(at('out/federation.yaml')) ? readFileSync(at('out/federation.yaml'), 'utf8') : '';
    const folders = [...text.matchAll(/\/out\/(rules\/[^"\s]+)/g)].map((match) => at(`out/${match[1]}`));
    return folders
      .flatMap((one) => readdirSync(one).map((name) => readFileSync(join(one, name), 'utf8')))
      .join('');
  };
  return { at, report, reports, published, stop, ended };
}

test('rules that change, come and go are tagged each time, and nothing is lost', async (t) => {
  const { at, report, published, stop, ended } = start(t);
  writeFileSync(at('a.yaml'), rule('One'));
  const done = ended();
  assert.equal((await report(1)).tagged, 1);

  // In place, in two writes, as falcoctl does.
  writeFileSync(at('a.yaml'), rule('One').slice(0, 30));
  writeFileSync(at('a.yaml'), rule('One') + rule('Two'));
  assert.equal((await report(2)).tagged, 2);
  assert.match(published(), /rule: Two[\s\S]*tags: \[own, staging\]/);

  writeFileSync(at('rules.d/more.yaml'), rule('Three'));
  assert.equal((await report(3)).tagged, 3);
  assert.match(published(), /rule: Three/);

  rmSync(at('rules.d/more.yaml'));
  assert.equal((await report(4)).tagged, 2);
  assert.doesNotMatch(published(), /rule: Three/);
  stop.abort();
  await done;
});

test('a source that is away, cut off or broken for a moment costs Falco no rule', async (t) => {
  const { at, report, reports, published, stop, ended } = start(t);
  writeFileSync(at('a.yaml'), rule('One'));
  writeFileSync(at('rules.d/more.yaml'), rule('Two'));
  const done = ended();
  await report(1);
  const before = published();
  const disturbances = [
    () => rmSync(at('a.yaml')),
    () => rmSync(at('rules.d'), { recursive: true }),
    () => rmSync(at('rules.d/more.yaml')),
    () => truncateSync(at('rules.d/more.yaml')),
    () => writeFileSync(at('a.yaml'), '- rule: [half'),
    () => writeFileSync(at('falco.yaml'), ''),
  ];
  for (const disturb of disturbances) {
    cpSync(at('.'), at('../kept'), { recursive: true });
    disturb();
    await wait(200);
    assert.equal(published(), before, String(disturb));
    for (const name of ['a.yaml', 'rules.d', 'falco.yaml']) {
      cpSync(at(`../kept/${name}`), at(name), { recursive: true });
    }
  }
  rmSync(at('../kept'), { recursive: true });
  await wait(200);
  assert.equal(published(), before);
  assert.ok(reports.every(({ outcome, tagged }) => outcome.code === 'rules_tagged' && tagged === 2));
  stop.abort();
  await done;
});

test('a source that is gone for good is gone; a broken one is passed on, as Falco keeps what it runs', async (t) => {
  const { at, report, published, stop, ended } = start(t);
  writeFileSync(at('a.yaml'), rule('One'));
  writeFileSync(at('rules.d/more.yaml'), rule('Two'));
  const done = ended();
  await report(1);
  writeFileSync(at('rules.d/more.yaml'), '- rule: [half');
  assert.equal((await report(2)).tagged, 1);
  assert.match(published(), /rule: One[\s\S]*staging[\s\S]*\[half/);
  rmSync(at('rules.d/more.yaml'));
  rmSync(at('a.yaml'));
  assert.equal((await report(3)).outcome.code, 'rules_none_visible');
  assert.equal(published(), '', 'Falco reads its own list, which has an empty folder in it');
  rmSync(at('rules.d'), { recursive: true });
  stop.abort();
  await done;
});

test('with nothing left that Falco could start with, what was published stays', async (t) => {
  const { at, report, published, stop, ended } = start(t);
  writeFileSync(at('a.yaml'), rule('One'));
  rmSync(at('rules.d'), { recursive: true });
  const done = ended();
  await report(1);
  rmSync(at('a.yaml'));
  assert.equal((await report(2)).outcome.code, 'rules_none_visible');
  assert.match(published(), /rule: One/);
  stop.abort();
  await done;
});

test('rules that come only after the start are tagged when they come', async (t) => {
  const { at, report, published, stop, ended } = start(t);
  const done = ended();
  assert.equal((await report(1)).outcome.code, 'rules_none_visible');
  assert.equal(published(), '');
  writeFileSync(at('rules.d/50-late.yaml'), rule('Late'));
  assert.equal((await report(2)).outcome.code, 'rules_tagged');
  assert.match(published(), /rule: Late[\s\S]*staging/);
  stop.abort();
  await done;
});
