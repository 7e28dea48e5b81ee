/**
 * What people's rules do while Falco runs, one scenario after the other, on the model of Falco and, where FALCO_BINARY
 * names a real one, on that (CONTRIBUTING). The sources and the follower are real files and the real steps.
 */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { falcoFileSystem, signatureOf } from '../../src/rules/configuration/file-system.ts';
import type { Woken } from '../../src/rules/publishing/follow-step.ts';
import { type PublishingDisk, publishingDisk } from '../../src/rules/publishing/publish.ts';
import { file } from './falco-node.ts';
import type { Change } from './falco-process.ts';
import { type FalcoUnderTest, falcoUnderTest } from './falco-under-test.ts';
import { rulesFolder, stepAndRename } from './temporary-tree.ts';

const isReal = process.env.FALCO_BINARY !== undefined;
if (!isReal) console.log('FALCO_BINARY names no Falco: the scenarios run on the model of it');

/** A falco.yaml, its sources, our output folder and Falco, with their real paths. */
class Scene {
  readonly falco: FalcoUnderTest;
  readonly folder = rulesFolder();
  readonly output = this.at('federation');
  /** Rules that were there once, and were missing when Falco had loaded. */
  lost = 0;
  private readonly args: readonly string[];
  private readonly old: boolean;

  constructor(rulesFiles: readonly string[], old = false) {
    this.old = old;
    mkdirSync(this.output);
    mkdirSync(this.at('rules.d'));
    const list = rulesFiles.map((name) => `  - ${this.at(name)}\n`).join('');
    writeFileSync(this.at('falco.yaml'), `rules_files:\n${list}`);
    const dropIns = old ? this.output : JSON.stringify({ path: this.output, strategy: 'override' });
    this.args = ['-c', this.at('falco.yaml'), '-o', `config_files[]=${dropIns}`];
    this.falco = falcoUnderTest({ root: '', args: this.args, env: {}, old });
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  overwrite(name: string, text: string): void {
    writeFileSync(this.at(name), text);
    this.falco.notice({ path: this.at(name), is: 'made' });
    this.falco.notice({ path: this.at(name), is: 'written' });
  }

  remove(name: string): void {
    rmSync(this.at(name));
    this.falco.notice({ path: this.at(name), is: 'gone' });
  }

  swap(name: string, text: string, version: string): void {
    const folder = dirname(this.at(name));
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, 'map.yaml'), text);
    symlinkSync(version, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    if (!readdirSync(folder).includes('map.yaml')) symlinkSync('..data/map.yaml', this.at(name));
    this.falco.notice({ path: join(folder, '..data'), is: 'moved_in' });
  }

  tag(woken: Woken): void {
    const { report } = stepAndRename(
      {
        ...{ fileSystem: falcoFileSystem(), disk: this.disk(), lookup: () => undefined, tags: ['staging'] },
        ...{ version: readFalcoVersion(this.old ? '0.40.0' : '0.44.1'), falcoArguments: this.args },
        ...{ configFile: undefined, output: this.output },
      },
      signatureOf,
      woken,
    );
    assert.notEqual(report?.outcome.code, 'rules_output_unwritable');
  }

  /** Lets Falco load; counts what it has lost of the names; gives its rules as `name` or `name*`, if tagged. */
  async rules(...names: readonly string[]): Promise<string> {
    await this.falco.settle();
    const rules = this.falco.rules();
    this.lost += names.filter((name) => !rules.some((one) => one.name === name)).length;
    return rules
      .map(({ name, tags }) => (tags.includes('staging') ? `${name}*` : name))
      .sort()
      .join(' ');
  }

  private disk(): PublishingDisk {
    const disk = publishingDisk();
    const tell = (...changes: readonly Change[]) => {
      for (const change of changes) this.falco.notice(change);
    };
    return {
      ...disk,
      makeFolder: (path) => {
        disk.makeFolder(path);
        tell({ path, is: 'made' });
      },
      rename: (from, to) => {
        disk.rename(from, to);
        tell({ path: from, is: 'gone' }, { path: to, is: 'moved_in' });
      },
      remove: (path) => {
        disk.remove(path);
        tell({ path, is: 'gone' });
      },
    };
  }
}

const table: (readonly [string, number, number])[] = [];
after(() => {
  console.log(`${'scenario'.padEnd(56)} reloads  rules lost`);
  for (const [name, reloads, lost] of table)
    console.log(`${name.padEnd(56)} ${String(reloads).padEnd(8)} ${lost}`);
});

interface Scenario {
  readonly entries: readonly string[];
  readonly old?: boolean;
  readonly run: (scene: Scene) => Promise<void>;
  /** Of Falco, by then. */
  readonly reloads: number;
}

const chart = ['falco_rules.yaml', 'falco_rules.local.yaml', 'rules.d'];

/** Rules of a first file, tagged before Falco starts. */
async function startTagged(scene: Scene): Promise<void> {
  scene.overwrite('falco_rules.yaml', file('One'));
  scene.tag('start');
  await scene.falco.start();
  assert.equal(await scene.rules('One'), 'One*');
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'falcoctl updates a file in place': {
    entries: chart,
    reloads: 1,
    run: async (scene) => {
      await startTagged(scene);
      scene.overwrite('falco_rules.yaml', '');
      scene.tag('changed');
      assert.equal(await scene.rules('One'), 'One*', 'cut off, and about to be written');
      scene.overwrite('falco_rules.yaml', file('One', 'Two'));
      scene.tag('changed');
      assert.equal(await scene.rules('One', 'Two'), 'One* Two*');
    },
  },
  'an update that changes nothing': {
    entries: chart,
    reloads: 0,
    run: async (scene) => {
      await startTagged(scene);
      scene.overwrite('falco_rules.yaml', file('One'));
      scene.tag('changed');
      assert.equal(await scene.rules('One'), 'One*');
    },
  },
  'two updates, one after the other': {
    entries: chart,
    reloads: 2,
    run: async (scene) => {
      await startTagged(scene);
      for (const names of [
        ['One', 'Two'],
        ['One', 'Three'],
      ]) {
        scene.overwrite('falco_rules.yaml', file(...names));
        scene.tag('changed');
        assert.equal(
          await scene.rules(...names),
          [...names]
            .sort()
            .map((name) => `${name}*`)
            .join(' '),
        );
      }
    },
  },
  'the operator adds a file, and removes it': {
    entries: ['rules.d'],
    // For each file Falco's own, as it watches the folder while that is listed itself, and ours.
    reloads: 3,
    run: async (scene) => {
      scene.tag('start');
      await scene.falco.start();
      assert.equal(await scene.rules(), '');
      scene.overwrite('rules.d/50-01-late.yaml', file('Late'));
      assert.equal(await scene.rules('Late'), 'Late');
      scene.tag('changed');
      assert.equal(await scene.rules('Late'), 'Late*');
      scene.remove('rules.d/50-01-late.yaml');
      scene.tag('changed');
      assert.equal(await scene.rules(), 'Late*', 'it may be back in a moment');
      scene.tag('still');
      assert.equal(await scene.rules(), '');
    },
  },
  'a ConfigMap is swapped': {
    entries: chart,
    reloads: 1,
    run: async (scene) => {
      scene.swap('rules.d/map.yaml', file('Mapped'), '..1');
      await startTaggedWith(scene, 'Mapped');
      scene.swap('rules.d/map.yaml', file('Swapped'), '..2');
      scene.tag('changed');
      assert.equal(await scene.rules('One', 'Swapped'), 'One* Swapped*');
    },
  },
  'broken YAML for good, then repaired': {
    entries: chart,
    reloads: 1,
    run: async (scene) => {
      await startTagged(scene);
      scene.overwrite('falco_rules.yaml', `${file('One')}- rule: [`);
      scene.tag('changed');
      scene.tag('still');
      assert.equal(await scene.rules('One'), 'One*', 'Falco refuses it and runs what it had');
      scene.overwrite('falco_rules.yaml', file('One', 'Mended'));
      scene.tag('changed');
      assert.equal(await scene.rules('One', 'Mended'), 'Mended* One*');
    },
  },
  'alongside: tagged while Falco runs already': {
    entries: chart,
    reloads: 1,
    run: async (scene) => {
      scene.overwrite('falco_rules.yaml', file('One'));
      await scene.falco.start();
      assert.equal(await scene.rules('One'), 'One');
      scene.tag('start');
      assert.equal(await scene.rules('One'), 'One*');
    },
  },
  'Falco 0.40, by the plain form': {
    ...{ entries: ['falco_rules.yaml', 'rules.d'], old: true, reloads: 1 },
    run: async (scene) => {
      await startTagged(scene);
      scene.overwrite('falco_rules.yaml', file('One', 'Two'));
      scene.tag('changed');
      assert.equal(await scene.rules('One', 'Two'), 'One* Two*');
    },
  },
};

async function startTaggedWith(scene: Scene, mapped: string): Promise<void> {
  scene.overwrite('falco_rules.yaml', file('One'));
  scene.tag('start');
  await scene.falco.start();
  assert.equal(await scene.rules('One', mapped), `${mapped}* One*`);
}

const realVersion = process.env.FALCO_VERSION ?? '0.44.1';
for (const [name, { entries, old = false, run, reloads }] of Object.entries(scenarios)) {
  // A real Falco takes one of the two forms of config_files (FACTS 1.13).
  if (isReal && old !== /^0\.(38|39|40)\./.test(realVersion)) continue;
  test(name, async () => {
    const scene = new Scene(entries, old);
    try {
      await run(scene);
      table.push([name, scene.falco.reloads(), scene.lost]);
      assert.equal(scene.lost, 0);
      assert.equal(scene.falco.reloads(), reloads);
    } finally {
      await scene.falco.stop();
    }
  });
}

test('the sources are as they were: only our folder is written to', () => {
  const scene = new Scene(chart);
  scene.overwrite('falco_rules.yaml', file('One'));
  scene.tag('start');
  assert.equal(readFileSync(scene.at('falco_rules.yaml'), 'utf8'), file('One'));
});
