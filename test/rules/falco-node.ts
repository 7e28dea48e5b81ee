/**
 * A node with Falco on it, for tests: sources that change as falcoctl, kubelet and the operator change them, a tagger
 * that may be stopped anywhere, and a Falco that hears of all of it.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { readFalcoVersion } from '../../src/rules/configuration/falco-version.ts';
import { type FileSystem, falcoFileSystem } from '../../src/rules/configuration/file-system.ts';
import { followStep, type Step, type Woken } from '../../src/rules/publishing/follow-step.ts';
import { type PublishingDisk, publishingDisk } from '../../src/rules/publishing/publish.ts';
import type { TagAndPublish } from '../../src/rules/publishing/tag-and-publish.ts';
import { type FalcoAnswer, runFalco } from './falco-model.ts';
import { type Change, FalcoProcess } from './falco-process.ts';
import { ourArguments, output, rule, rulesFolder } from './temporary-tree.ts';

export interface Layout {
  /** Of falco.yaml. */
  readonly rulesFiles: readonly string[];
  /** Folders that are there at the start. */
  readonly folders: readonly string[];
  readonly version: string;
  readonly args: readonly string[];
  /** Of these, the user's. */
  readonly own?: readonly string[];
}

const oldArguments = ['-o', `config_files[]=${output}`];

export const layouts = {
  chart: {
    rulesFiles: ['/etc/falco/a.yaml', '/etc/falco/local.yaml', '/etc/falco/rules.d'],
    ...{ folders: [], version: '0.44.1', args: ourArguments },
  },
  chartWithConfigMap: {
    rulesFiles: ['/etc/falco/a.yaml', '/etc/falco/local.yaml', '/etc/falco/rules.d'],
    ...{ folders: ['/etc/falco/rules.d'], version: '0.44.1', args: ourArguments },
  },
  operator: {
    rulesFiles: ['/etc/falco/rules.d'],
    ...{ folders: ['/etc/falco/rules.d'], version: '0.44.1', args: ourArguments },
  },
  old: {
    rulesFiles: ['/etc/falco/a.yaml', '/etc/falco/rules.d'],
    ...{ folders: ['/etc/falco/rules.d'], version: '0.40.0', args: oldArguments },
  },
  options: {
    rulesFiles: ['/etc/falco/a.yaml'],
    folders: ['/etc/falco/rules.d'],
    version: '0.44.1',
    own: ['-o', 'rules_files[]=/etc/falco/rules.d'],
    args: [
      ...['-o', 'rules_files[]=/etc/falco/rules.d', ...ourArguments],
      ...['-o', `rules_files[]=${output}/last`],
    ],
  },
} as const satisfies Readonly<Record<string, Layout>>;

/** Stands for a tagger that is killed. */
export class Killed extends Error {}

export class FalcoNode {
  readonly root = rulesFolder();
  readonly falco: FalcoProcess;
  /** Names of the rules that the sources had when they were published last; undefined: nothing is published. */
  published: readonly string[] | undefined;
  /** Those of them in files that the follower could not read, and left in the list as they are. */
  publishedUnseen: readonly string[] = [];
  /** Milliseconds, by a clock that goes only when it is told to. */
  now = 0;
  private changedAt = 0;
  /** How often the drop-in was replaced, made or taken away; and how often by the same again. */
  publications = 0;
  renewals = 0;
  private readonly layout: Layout;
  private readonly versions = new Map<string, number>();
  private readonly unreadable = new Set<string>();
  private step: Step | undefined;
  private maps = 0;

  /** Whether Falco would refuse what is published. */
  publishedBroken = false;
  private readonly makeDisk: (root?: string) => PublishingDisk;
  /** How often Falco had read its configuration when what it is to read was published; undefined: it has read it. */
  private unreadSince: number | undefined;

  constructor(layout: Layout, makeDisk: (root?: string) => PublishingDisk = publishingDisk) {
    this.layout = layout;
    this.makeDisk = makeDisk;
    mkdirSync(`${this.root}/etc/falco`, { recursive: true });
    mkdirSync(this.root + output);
    for (const folder of layout.folders) mkdirSync(this.root + folder, { recursive: true });
    const list = layout.rulesFiles.map((path) => `  - ${path}\n`).join('');
    writeFileSync(`${this.root}/etc/falco/falco.yaml`, `rules_files:\n${list}`);
    const old = layout.version.startsWith('0.40');
    this.falco = new FalcoProcess({ root: this.root, args: layout.args, env: {}, old });
  }

  /** Whether options of the user's add rules files. */
  get hasOptions(): boolean {
    return this.layout.own !== undefined;
  }

  /** What Falco would run now without us. */
  own(): FalcoAnswer {
    const { own = [], version } = this.layout;
    return runFalco({ root: this.root, args: own, env: {}, old: version.startsWith('0.40') });
  }

  /** In place, as falcoctl writes: the same file with other content. */
  overwrite(path: string, text: string): void {
    const isNew = !existsSync(this.root + path);
    mkdirSync(posix.dirname(this.root + path), { recursive: true });
    writeFileSync(this.root + path, text);
    if (isNew) this.changed({ path, is: 'made' });
    this.changed({ path, is: 'written' });
  }

  /** By rename, as careful programs write. */
  replace(path: string, text: string): void {
    mkdirSync(posix.dirname(this.root + path), { recursive: true });
    writeFileSync(`${this.root}/draft`, text);
    renameSync(`${this.root}/draft`, this.root + path);
    this.changed({ path, is: 'moved_in' });
  }

  remove(path: string): void {
    if (!existsSync(this.root + path)) return;
    rmSync(this.root + path);
    this.changed({ path, is: 'gone' });
  }

  /** A ConfigMap's new content: another folder, and `..data` swapped over to it. */
  swap(folder: string, files: Readonly<Record<string, string>>): void {
    if (!existsSync(this.root + folder)) return;
    const version = `..version-${this.maps++}`;
    mkdirSync(`${this.root}${folder}/${version}`);
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(`${this.root}${folder}/${version}/${name}`, text);
      const link = `${this.root}${folder}/${name}`;
      if (!existsSync(link)) {
        rmSync(link, { force: true });
        symlinkSync(`..data/${name}`, link);
      }
      this.versions.set(`${folder}/${name}`, this.version(`${folder}/${name}`) + 1);
    }
    symlinkSync(version, `${this.root}${folder}/..data_tmp`);
    renameSync(`${this.root}${folder}/..data_tmp`, `${this.root}${folder}/..data`);
    this.changed({ path: `${folder}/..data`, is: 'moved_in' });
  }

  /** For our container; Falco is root. */
  setReadable(path: string, isReadable: boolean): void {
    if (isReadable) this.unreadable.delete(path);
    else this.unreadable.add(path);
    this.versions.set(path, this.version(path) + 1);
  }

  /** Whether nothing has changed since the follower last looked. */
  isStill(): boolean {
    return this.step !== undefined && [...this.step.seen].every(([path, is]) => this.signature(path) === is);
  }

  /** Whether the follower will look again although nothing changes. */
  isDue(): boolean {
    return this.step !== undefined && this.step.within > 0 && this.isStill();
  }

  /**
   * The follower wakes up and does a step.
   *
   * @param before called before each thing that it does to the disk; throws to kill it there
   * @throws what `before` does
   */
  follow(woken: Woken, before: () => void = () => {}): Step {
    const own = this.own();
    let killed: Killed | undefined;
    const watched = this.watchedDisk(this.makeDisk(this.root), () => {
      // What is killed does nothing more, also not what it would do on its way out.
      if (killed !== undefined) throw killed;
      try {
        before();
      } catch (error) {
        if (error instanceof Killed) killed = error;
        throw error;
      }
    });
    this.step = undefined;
    this.lookWhetherRead();
    // A launcher that starts knows of nothing, and none sees who opens the drop-in while Node runs.
    const isUnread = woken !== 'start' && this.unreadSince !== undefined;
    this.unreadSince = undefined;
    const run = this.asRun(watched, own);
    const step = followStep(run, (path) => this.signature(path), woken);
    if (killed !== undefined) throw killed;
    if (step.left !== undefined) {
      writeFileSync(`${this.root}${output}/work/unread`, '');
      run.disk.rename(step.left.draft, step.left.path);
    }
    if (step.left !== undefined || isUnread) this.unreadSince = this.falco.reads;
    this.step = step;
    return step;
  }

  /** What the launcher does when a publication is unread for some time (src/launcher/publication.c). */
  publishAgain(): void {
    this.lookWhetherRead();
    const dropIn = `${output}/federation.yaml`;
    if (this.unreadSince === undefined || !existsSync(this.root + dropIn)) return;
    const bytes = readFileSync(this.root + dropIn);
    const disk = this.watchedDisk(this.makeDisk(this.root), () => {});
    disk.writeFile(`${output}/work/file`, bytes);
    disk.rename(`${output}/work/file`, dropIn);
    this.renewals += 1;
    this.unreadSince = this.falco.reads;
  }

  private namesIn(path: string): readonly string[] {
    if (!existsSync(this.root + path)) return [];
    return [...readFileSync(this.root + path, 'utf8').matchAll(/^- rule: (\w+)$/gm)].map(
      ([, name = '']) => name,
    );
  }

  private lookWhetherRead(): void {
    if (this.unreadSince === undefined || this.falco.reads === this.unreadSince) return;
    this.unreadSince = undefined;
    rmSync(`${this.root}${output}/work/unread`, { force: true });
  }

  private asRun(disk: PublishingDisk, own: FalcoAnswer): TagAndPublish {
    const dropIn = `${output}/federation.yaml`;
    return {
      ...{ fileSystem: this.fileSystem(), version: readFalcoVersion(this.layout.version) },
      ...{
        falcoArguments: this.layout.args,
        configFile: undefined,
        lookup: () => '',
        output,
        tags: ['staging'],
      },
      disk: {
        ...disk,
        rename: (from, to) => {
          disk.rename(from, to);
          if (to === dropIn) this.isPublished(own);
        },
        remove: (path) => {
          disk.remove(path);
          if (path === dropIn) this.isPublished(undefined);
        },
      },
    };
  }

  private isPublished(own: FalcoAnswer | undefined): void {
    this.published = own && namesOf(own);
    this.publishedUnseen =
      own === undefined ? [] : [...this.unreadable].flatMap((path) => this.namesIn(path));
    this.publishedBroken = own !== undefined && own.exit !== 0;
  }

  private fileSystem(): FileSystem {
    const real = falcoFileSystem(this.root);
    return {
      ...real,
      read: (path, limit) =>
        this.unreadable.has(path) ? { is: 'unreadable', why: 'EACCES' } : real.read(path, limit),
    };
  }

  /** Tells Falco what the publisher does. */
  private watchedDisk(disk: PublishingDisk, before: () => void): PublishingDisk {
    const told =
      <Args extends readonly string[]>(act: (...args: Args) => void, changes: (...args: Args) => Change[]) =>
      (...args: Args): void => {
        before();
        act(...args);
        for (const change of changes(...args)) this.tell(change);
      };
    return {
      ...disk,
      makeFolder: told(disk.makeFolder, (path) => [{ path, is: 'made' }]),
      writeFile: (path, bytes) => {
        before();
        disk.writeFile(path, bytes);
        this.tell({ path, is: 'made' });
        this.tell({ path, is: 'written' });
      },
      rename: told(disk.rename, (from, to) => [
        { path: from, is: 'gone' },
        { path: to, is: 'moved_in' },
      ]),
      link: told(disk.link, (_, path) => [{ path, is: 'made' }]),
      restOf: () => this.now - this.changedAt,
      remove: (path) => {
        before();
        const below = disk.kind(path) === 'folder' ? disk.names(path).map((name) => `${path}/${name}`) : [];
        disk.remove(path);
        for (const one of [...below, path]) this.tell({ path: one, is: 'gone' });
      },
    };
  }

  private tell(change: Change): void {
    if (change.path === `${output}/federation.yaml`) this.publications += 1;
    if (posix.dirname(change.path) === output) this.changedAt = this.now;
    this.falco.notice(change);
  }

  private changed(change: Change): void {
    for (const path of [change.path, posix.dirname(change.path)])
      this.versions.set(path, this.version(path) + 1);
    this.falco.notice(change);
  }

  private version(path: string): number {
    return this.versions.get(path) ?? 0;
  }

  /** By counting: two quick writes may have the same time on a real disk. */
  private signature(path: string): string {
    return String(this.version(path));
  }
}

export function namesOf({ rules }: FalcoAnswer): readonly string[] {
  return rules.map(({ name }) => name).sort();
}

/** A rules file with these rules. */
export function file(...names: readonly string[]): string {
  return names.map((name) => rule(name)).join('');
}

export function dropInOf({ root }: FalcoNode): string {
  const path = `${root}${output}/federation.yaml`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
