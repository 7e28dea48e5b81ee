/** Reads and tags the files of entries, within what the volume and the container's memory are meant for. */
import type { Finding } from '../../reasons/reasons.ts';
import { type FileSystem, utf8 } from '../configuration/file-system.ts';
import type { RulesFile } from '../configuration/rules-entry.ts';
import { tagInParts } from '../tagging/tag-in-parts.ts';

/**
 * All copies together: the volume's size limit is 64 MiB, and a new copy may for a moment lie beside the old one.
 * An emptyDir over its limit gets the pod evicted (FACTS 4.10).
 */
export const largestTotal = 16 * 1024 * 1024;

/** One file. */
export const largestFile = 8 * 1024 * 1024;

/** What Falco says of these files too. */
const refused: ReadonlySet<string> = new Set(['rules_file_not_parsed', 'rules_file_refused']);

export interface TaggedCopy {
  readonly name: string;
  readonly source: string;
  readonly bytes: Buffer;
  readonly rules: number;
  readonly tagged: number;
  readonly alreadyTagged: number;
  /** Rules that carry not every tag, as far as can be told. */
  readonly untagged: number;
  /** The bytes are those of the source, because nothing could be added to it. */
  readonly asItWas: boolean;
  /** Falco would refuse it. */
  readonly isBroken: boolean;
  readonly loadsTwice: boolean;
  readonly findings: readonly Finding[];
}

export type Copies =
  | { readonly is: 'copies'; readonly copies: readonly TaggedCopy[] }
  | { readonly is: 'kept'; readonly finding: Finding };

/** Makes copies until the total is reached. One maker serves one run. */
export class CopyMaker {
  private left: number;
  private readonly fileSystem: FileSystem;
  private readonly tags: readonly string[];

  constructor(fileSystem: FileSystem, tags: readonly string[], total = largestTotal) {
    this.fileSystem = fileSystem;
    this.tags = tags;
    this.left = total;
  }

  /** Copies of all the files or of none: an entry with a part missing would lose rules. */
  copiesOf(files: readonly RulesFile[]): Copies {
    const copies: TaggedCopy[] = [];
    let size = 0;
    for (const file of files) {
      const read = this.fileSystem.read(file.path, largestFile);
      if (read.is === 'too_large') return kept('rules_entry_too_large', file.path);
      if (read.is === 'unreadable') return kept('rules_entry_unreadable', `${file.path}: ${read.why}`);
      const copy = this.copyOf(file, read.bytes);
      size += copy.bytes.length;
      if (size > this.left) return kept('rules_entry_too_large', file.path);
      copies.push(copy);
    }
    this.left -= size;
    return { is: 'copies', copies };
  }

  private copyOf(file: RulesFile, bytes: Buffer): TaggedCopy {
    const plain = (code: Finding['code'], detail: string): TaggedCopy => ({
      ...{ name: file.name, source: file.path, bytes, rules: 0, tagged: 0, alreadyTagged: 0, untagged: 0 },
      ...{ asItWas: true, isBroken: true, loadsTwice: false, findings: [{ code, detail }] },
    });
    const text = utf8(bytes);
    if (text === undefined) return plain('rules_file_not_parsed', `${file.path}: not UTF-8`);
    const tagged = tagInParts(text, this.tags);
    const asItWas = tagged.text === text;
    return {
      ...{ name: file.name, source: file.path, bytes: asItWas ? bytes : Buffer.from(tagged.text) },
      ...{ rules: tagged.rules, tagged: tagged.tagged, alreadyTagged: tagged.alreadyTagged },
      untagged: tagged.untagged,
      ...{ asItWas: asItWas && tagged.problems.length > 0, loadsTwice: tagged.loadsTwice },
      isBroken: tagged.problems.some(({ code }) => refused.has(code)),
      findings: tagged.problems.map(({ code, line, detail }) => ({
        code,
        detail: `${file.path}:${line}: ${detail}`,
      })),
    };
  }
}

function kept(code: Finding['code'], detail: string): Copies {
  return { is: 'kept', finding: { code, detail } };
}
