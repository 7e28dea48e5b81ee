/** Reads and tags the files of entries, within what the volume and the container's memory are meant for. */
import type { Finding } from '../../reasons/reasons.ts';
import type { FileSystem } from '../configuration/file-system.ts';
import type { RulesFile } from '../configuration/rules-entry.ts';
import { tagRulesFile } from '../tagging/tag-rules-file.ts';

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
  /** Rules that Falco would load from it, as far as can be told, that do not carry every tag. */
  readonly untagged: number;
  /** The bytes are those of the source, because nothing could be added to it. */
  readonly asItWas: boolean;
  /** Falco would refuse it. */
  readonly isBroken: boolean;
  readonly loadsTwice: boolean;
  readonly findings: readonly Finding[];
}

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
  copiesOf(files: readonly RulesFile[]): readonly TaggedCopy[] | Finding {
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
    return copies;
  }

  private copyOf(file: RulesFile, bytes: Buffer): TaggedCopy {
    const { findings, ...tagged } = tagRulesFile(bytes, this.tags);
    return {
      ...{ name: file.name, source: file.path, ...tagged },
      asItWas: tagged.bytes === bytes && findings.length > 0,
      isBroken: findings.some(({ code }) => refused.has(code)),
      findings: findings.map(({ code, line, detail }) => ({
        code,
        detail: `${file.path}:${line}: ${detail}`,
      })),
    };
  }
}

function kept(code: Finding['code'], detail: string): Finding {
  return { code, detail };
}
