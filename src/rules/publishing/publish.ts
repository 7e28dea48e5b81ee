/**
 * Writes a plan into the output folder so that Falco, which may read at any moment, sees all of it or nothing:
 *
 *     work/               everything is written here first
 *     rules/NN-name/      a folder, renamed in whole; never changed once it is there: other content gets
 *     rules/NN-name.1/    another name, and the list below says which one counts
 *     last/               taken away whole and put back whole; without it rules are only untagged
 *     federation.yaml     the drop-in, renamed in when all that it lists is there
 *
 * A run that ends at any point leaves the old list in force or the new one, each with exactly the rules it had: also
 * when a rule went from one file to another. What a list no longer names goes only with the run after that: Falco may
 * be reading it still, and would reload once more for each file that goes from a folder that it watches (FACTS 1.7).
 *
 * The follower of the image leaves the last rename to the launcher, which sees whether Falco reads the new drop-in, and
 * renames it again where it does not (src/launcher/publication.c). Until then work/unread holds the list that Falco has
 * read last, and the one that was in force before this one.
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
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
  | { readonly is: 'failed'; readonly why: string };

export interface Publishes {
  /** The new drop-in is left as a draft, for who calls to rename. */
  readonly leavesDropIn: boolean;
  /** Puts a drop-in in the place of an unread one, though it is the same. */
  readonly renewsUnread: boolean;
}

/** Between the two lists of a mark. */
const meanwhile = '# In force meanwhile:\n';

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
    if (disk.kind(output) !== 'folder') return { is: 'failed', why: `${output} is not a folder` };
    publishing.publish(plan);
    return { is: 'published', changed: publishing.changed, left: publishing.left };
  } catch (error) {
    return { is: 'failed', why: `${publishing.doing}: ${errorCode(error)}` };
  } finally {
    leaveWorkClear(publishing);
  }
}

function leaveWorkClear(publishing: Publishing): void {
  try {
    publishing.clearWork();
  } catch {
    // No harm to anyone, and the next run tries again before it writes.
  }
}

class Publishing {
  changed = false;
  left: Draft | undefined;
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
    this.removeUnlisted(dropIn);
    if (plan.dropIn === undefined) this.withdraw(dropIn);
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

  /**
   * Removes what the list in force does not name: it is of the list before. While nobody has seen Falco read the one in
   * force, it may be loading from the one that it read last, and would exit when a folder is gone that it is to watch.
   */
  private removeUnlisted(dropIn: string): void {
    const lists = this.isUnread() ? [dropIn, this.mark] : [dropIn];
    const listed = lists.flatMap((path) => this.listedIn(path));
    for (const name of this.namesIn(this.rules))
      if (!listed.includes(name)) this.remove(`${this.rules}/${name}`);
  }

  /** Falco may be loading from it at this moment, and nobody sees that it has read that there is none any more. */
  private withdraw(dropIn: string): void {
    if (this.disk.kind(dropIn) === 'file' && this.how.leavesDropIn) this.markUnread(dropIn);
    this.remove(dropIn);
  }

  private listedIn(path: string): readonly string[] {
    return this.disk.kind(path) === 'file' ? listedFolders(this.disk.read(path), this.rules) : [];
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
  private publishFolder(name: string, files: readonly PlannedFile[]): string {
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

  /** Whether that has changed anything. */
  private publishLast(files: readonly PlannedFile[]): boolean {
    const last = lastFolder(this.output);
    if (files.length === 0 ? this.namesIn(last).length === 0 : this.holds(last, files)) return false;
    const draft = files.length === 0 ? undefined : this.draftFolder(files);
    // A stale copy would undo a newer original, which options load before it: so all of them go at once.
    if (this.disk.kind(last) !== undefined) {
      this.makeFolder(this.work);
      this.rename(last, `${this.work}/last`);
    }
    if (draft !== undefined) this.rename(draft, last);
    return true;
  }

  private draftFolder(files: readonly PlannedFile[]): string {
    this.makeFolder(this.work);
    const draft = `${this.work}/folder`;
    this.makeFolder(draft);
    for (const file of files) this.write(`${draft}/${file.name}`, file.bytes);
    return draft;
  }

  /** Whether a folder holds these files and nothing else. */
  private holds(folder: string, files: readonly PlannedFile[]): boolean {
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
    if (this.disk.kind(path) === 'folder') this.remove(path);
    this.makeFolder(this.work);
    const draft = `${this.work}/file`;
    this.write(draft, bytes);
    if (this.how.leavesDropIn) {
      if (!this.isUnread() || !this.fileHolds(path, bytes)) this.markUnread(path);
      this.left = { draft, path };
    } else this.rename(draft, path);
  }

  /**
   * Keeps the list in force, which Falco has read, beside the one that it is to read next. Where nobody has seen Falco read
   * the one in force either, it may have at a start all the same, and load from it: it is kept too, beside the last one
   * that Falco is known to have read.
   */
  private markUnread(inForce: string): void {
    const draft = `${this.work}/mark`;
    const list = this.disk.kind(inForce) === 'file' ? this.disk.read(inForce).toString() : undefined;
    const before = this.isUnread() ? this.disk.read(this.mark).toString() : undefined;
    // Withdrawn before: what was kept then is still all that Falco may be loading from.
    if (before !== undefined && list === undefined) return;
    this.makeFolder(this.work);
    const kept = before === undefined ? [] : before.split(meanwhile, 1);
    this.write(draft, Buffer.from([...kept, list ?? ''].join(meanwhile)));
    if (this.disk.kind(this.mark) !== undefined) this.remove(this.mark);
    this.rename(draft, this.mark);
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
