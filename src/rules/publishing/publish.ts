/**
 * Writes a plan into the output folder so that Falco, which may read at any moment, sees all of it or nothing:
 *
 *     work/               everything is written here first
 *     rules/NN-name/      a folder, renamed in whole; never changed once it is there: other content gets
 *     rules/NN-name.1/    another name, and the list below says which one counts
 *     last                a link to one of these folders, for what options add behind the list
 *     federation.yaml     the drop-in, renamed in when all that it lists is there
 *
 * A run that ends at any point leaves the old list in force or the new one, each with exactly the rules it had: also
 * when a rule went from one file to another.
 *
 * **Nothing that Falco may have read of goes before it has long set its watches**: Falco exits when something of its list
 * is gone by then (FACTS 1.7). So folders that are not in force go in one place only (`removeFormer`), and only when
 * nothing here was put in force, renewed or taken back for ten minutes: whoever has read a former list did so before.
 * In `last`, whose path stays the same, no name ever goes: Falco may be about to watch it at any time. Its files are
 * numbered, and those that are not needed any more are empty.
 *
 * The follower of the image leaves the last rename to the launcher, which sees whether Falco reads the new drop-in, and
 * renames it again where it does not (src/launcher/publication.c). Until then it keeps work/unread.
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { errorCode } from '../configuration/file-system.ts';
import { inFolder, lastFolder } from '../configuration/paths.ts';
import { dropInName, dropInText, listedFolders, writtenPath } from './drop-in.ts';
import type { PlannedFile, PlannedItem, PublicationPlan } from './publication-plan.ts';

/** The writing half of the disk. Every method throws what the system says. */
export interface PublishingDisk {
  /** What a path itself is, links not followed; undefined for nothing. */
  kind(path: string): 'file' | 'folder' | 'other' | undefined;
  names(folder: string): string[];
  read(path: string): Buffer;
  makeFolder(path: string): void;
  writeFile(path: string, bytes: Buffer): void;
  rename(from: string, to: string): void;
  /** Folders with all that is in them; nothing there is fine. */
  remove(path: string): void;
  link(target: string, path: string): void;
  /** What a link leads to; undefined for anything else. */
  target(path: string): string | undefined;
  /** Milliseconds since something in a folder was made, renamed or removed. */
  restOf(folder: string): number;
}

/** The disk, every path behind `root`. Modes are set outright: a umask must not keep Falco from reading. */
export function publishingDisk(root = ''): PublishingDisk {
  return {
    kind: (path) => kindOf(root + path),
    names: (folder) => readdirSync(root + folder).sort(),
    read: (path) => readFileSync(root + path),
    makeFolder: (path) => {
      mkdirSync(root + path);
      chmodSync(root + path, 0o755);
    },
    writeFile: (path, bytes) => {
      writeFileSync(root + path, bytes);
      chmodSync(root + path, 0o644);
    },
    rename: (from, to) => renameSync(root + from, root + to),
    remove: (path) => rmSync(root + path, { recursive: true, force: true }),
    link: (target, path) => symlinkSync(target, root + path),
    target: (path) =>
      lstatSync(root + path, { throwIfNoEntry: false })?.isSymbolicLink() === true
        ? readlinkSync(root + path)
        : undefined,
    restOf: (folder) => Date.now() - statSync(root + folder).mtimeMs,
  };
}

function kindOf(path: string): ReturnType<PublishingDisk['kind']> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (stats.isFile()) return 'file';
  return stats.isDirectory() ? 'folder' : 'other';
}

/** Where folders of copies lie. */
export function rulesFolder(output: string): string {
  return inFolder(output, 'rules');
}

/** A file that is ready, and where it is to be renamed to. */
export interface Draft {
  readonly draft: string;
  readonly path: string;
}

export type Publication =
  | { readonly is: 'published'; readonly changed: boolean; readonly left: Draft | undefined }
  /** `isOutdated`: what is in force is not what was to be. */
  | { readonly is: 'failed'; readonly why: string; readonly isOutdated: boolean };

export interface Publishes {
  /** The new drop-in is left as a draft, for who calls to rename. */
  readonly leavesDropIn: boolean;
  /** Puts a drop-in in the place of an unread one, though it is the same. */
  readonly renewsUnread: boolean;
}

/**
 * Milliseconds after which Falco has set its watches on what it has read, by far: with a tenth of a processor it takes
 * three seconds (FACTS 1.7).
 */
export const readingTakes = 600_000;

const allOfIt: Publishes = { leavesDropIn: false, renewsUnread: false };

/**
 * Makes the output folder hold the plan and nothing else of ours. Files that are as planned already are not
 * touched: each write makes Falco reload (FACTS 1.7). Never throws.
 */
export function publish(
  disk: PublishingDisk,
  output: string,
  plan: PublicationPlan,
  how: Publishes = allOfIt,
): Publication {
  const publishing = new Publishing(disk, output, how);
  try {
    if (plan.dropIn === undefined && plan.last.length === 0 && disk.kind(output) === undefined) {
      return { is: 'published', changed: false, left: undefined };
    }
    if (disk.kind(output) !== 'folder')
      return { is: 'failed', why: `${output} is not a folder`, isOutdated: false };
    publishing.publish(plan);
    return { is: 'published', changed: publishing.changed, left: publishing.left };
  } catch (error) {
    const { doing, isOutdated } = publishing;
    return { is: 'failed', why: `${doing}: ${errorCode(error)}`, isOutdated };
  } finally {
    leaveWorkClear(publishing);
  }
}

/**
 * Takes the published rules back, so that Falco runs its own: for a volume that is full when rules change. Removing needs
 * no room; what the drop-in says of alerts stays where there is some. Returns whether it was done. Never throws.
 */
export function publishWithoutRules(disk: PublishingDisk, output: string, plan: PublicationPlan): boolean {
  const dropIn = inFolder(output, dropInName);
  const attempts = [
    () => {
      const { key, alerts } = plan.dropIn ?? {};
      if (key === undefined || alerts === undefined) throw new Error('nothing but rules');
      const draft = `${inFolder(output, 'work')}/file`;
      disk.writeFile(draft, dropInText(key, [], alerts));
      disk.rename(draft, dropIn);
    },
    () => disk.remove(dropIn),
  ];
  return attempts.some((attempt) => {
    try {
      attempt();
      return true;
    } catch {
      return false;
    }
  });
}

function leaveWorkClear(publishing: Publishing): void {
  try {
    publishing.clearWork();
  } catch {
    // No harm to anyone, and the next run tries again before it writes.
  }
}

type FileOfFolder = Pick<PlannedFile, 'name' | 'bytes'>;

class Publishing {
  changed = false;
  left: Draft | undefined;
  isOutdated = false;
  /** What was being done when it failed. */
  doing: string;
  private readonly disk: PublishingDisk;
  private readonly how: Publishes;
  private readonly output: string;
  private readonly work: string;
  private readonly rules: string;
  private readonly mark: string;

  constructor(disk: PublishingDisk, output: string, how: Publishes) {
    this.disk = disk;
    this.how = how;
    this.output = output;
    this.doing = `look at ${output}`;
    this.work = inFolder(output, 'work');
    this.rules = rulesFolder(output);
    this.mark = inFolder(this.work, 'unread');
  }

  publish(plan: PublicationPlan): void {
    const dropIn = inFolder(this.output, dropInName);
    this.clearWork();
    if (this.disk.restOf(this.output) >= readingTakes) this.removeFormer(dropIn);
    if (plan.dropIn === undefined) this.remove(dropIn);
    // Who reads the new drop-in has then read the new copies in last/ too.
    const isNew = this.publishLast(plan.last) || (this.how.renewsUnread && this.isUnread());
    const listed = new Map<PlannedItem, string>();
    for (const item of plan.dropIn?.items ?? []) {
      if (item.is === 'folder') listed.set(item, this.publishFolder(item.name, item.files));
    }
    if (plan.dropIn !== undefined) {
      const written = plan.dropIn.items.map((item) =>
        item.is === 'kept'
          ? (item.written ?? '')
          : writtenPath(`${this.rules}/${listed.get(item) ?? item.name}`),
      );
      this.publishDropIn(dropIn, dropInText(plan.dropIn.key, written, plan.dropIn.alerts), isNew);
    }
  }

  /** Removes the folders that are not in force: neither named by the drop-in nor behind the link. */
  private removeFormer(dropIn: string): void {
    const listed = this.disk.kind(dropIn) === 'file' ? listedFolders(this.disk.read(dropIn), this.rules) : [];
    const linked = this.disk.target(lastFolder(this.output));
    for (const name of this.namesIn(this.rules))
      if (!listed.includes(name) && linked !== `rules/${name}`) this.remove(`${this.rules}/${name}`);
  }

  /** What is half done is of no use to anyone; a folder of drafts must not start with somebody's rest. */
  clearWork(): void {
    for (const name of this.namesIn(this.work)) {
      const path = `${this.work}/${name}`;
      if (path !== this.mark && path !== this.left?.draft) this.disk.remove(path);
    }
  }

  /** Whether Falco has not read the drop-in in force, as far as the launcher has seen. */
  private isUnread(): boolean {
    return this.disk.kind(this.work) === 'folder' && this.disk.kind(this.mark) === 'file';
  }

  /** Makes sure of a folder with these files and gives its name, which may have a number behind it. */
  private publishFolder(name: string, files: readonly FileOfFolder[]): string {
    const ours = this.namesIn(this.rules).filter((one) => one === name || isNumbered(one, name));
    const there = ours.find((one) => this.holds(`${this.rules}/${one}`, files));
    if (there !== undefined) return there;
    let free = name;
    for (let number = 1; ours.includes(free); number++) free = `${name}.${number}`;
    const draft = this.draftFolder(files);
    this.makeFolder(this.rules);
    this.rename(draft, `${this.rules}/${free}`);
    return free;
  }

  /**
   * Whether that has changed anything. All copies at once: a stale one would undo a newer original, which options load
   * before it.
   */
  private publishLast(files: readonly PlannedFile[]): boolean {
    const last = lastFolder(this.output);
    const linked = this.disk.target(last);
    const before = linked === undefined ? [] : this.namesIn(inFolder(this.output, linked));
    const isPlanned = (name: string) => files.some((file) => file.name === name);
    const empty = before.filter((name) => !isPlanned(name)).map((name) => ({ name, bytes: Buffer.of() }));
    const all = [...files, ...empty];
    if (all.length === 0 || (linked !== undefined && this.holds(inFolder(this.output, linked), all)))
      return false;
    const name = this.publishFolder('last', all);
    const draft = `${this.work}/link`;
    this.makeFolder(this.work);
    this.did(`link ${last}`);
    this.disk.link(`rules/${name}`, draft);
    this.rename(draft, last);
    return true;
  }

  private draftFolder(files: readonly FileOfFolder[]): string {
    this.isOutdated = true;
    this.makeFolder(this.work);
    const draft = `${this.work}/folder`;
    this.makeFolder(draft);
    for (const file of files) this.write(`${draft}/${file.name}`, file.bytes);
    return draft;
  }

  /** Whether a folder holds these files and nothing else. */
  private holds(folder: string, files: readonly FileOfFolder[]): boolean {
    const names = this.namesIn(folder);
    return (
      this.disk.kind(folder) === 'folder' &&
      names.length === files.length &&
      files.every(({ name, bytes }) => this.fileHolds(`${folder}/${name}`, bytes))
    );
  }

  private fileHolds(path: string, bytes: Buffer): boolean {
    this.doing = `read ${path}`;
    return this.disk.kind(path) === 'file' && this.disk.read(path).equals(bytes);
  }

  private publishDropIn(path: string, bytes: Buffer, isNew: boolean): void {
    if (!isNew && this.fileHolds(path, bytes)) return;
    this.isOutdated = true;
    if (this.disk.kind(path) === 'folder') this.remove(path);
    this.makeFolder(this.work);
    const draft = `${this.work}/file`;
    this.write(draft, bytes);
    if (this.how.leavesDropIn) this.left = { draft, path };
    else this.rename(draft, path);
  }

  private namesIn(folder: string): readonly string[] {
    this.doing = `list ${folder}`;
    return this.disk.kind(folder) === 'folder' ? this.disk.names(folder) : [];
  }

  private makeFolder(path: string): void {
    if (this.disk.kind(path) === 'folder') return;
    this.remove(path);
    this.did(`make the folder ${path}`);
    this.disk.makeFolder(path);
  }

  private write(path: string, bytes: Buffer): void {
    this.did(`write ${path}`);
    this.disk.writeFile(path, bytes);
  }

  private rename(from: string, to: string): void {
    this.did(`rename ${from} to ${to}`);
    this.disk.rename(from, to);
  }

  private remove(path: string): void {
    if (this.disk.kind(path) === undefined) return;
    this.did(`remove ${path}`);
    this.disk.remove(path);
  }

  private did(what: string): void {
    this.doing = what;
    this.changed = true;
  }
}

function isNumbered(name: string, base: string): boolean {
  return name.startsWith(`${base}.`) && /^\d+$/.test(name.slice(base.length + 1));
}
