/** What is to be published, as a value: folders of tagged copies, the drop-in that lists them, and what to tell. */
import { posix } from 'node:path';
import { messageOf } from '../../reasons/message-of.ts';
import type { Finding } from '../../reasons/reasons.ts';
import { type AlertsKeys, type AlertsQuestion, planAlerts } from '../configuration/alerts.ts';
import {
  type EffectiveRulesFiles,
  effectiveRulesFiles,
  type RulesFilesEntry,
} from '../configuration/effective-rules-files.ts';
import {
  type ConfigurationQuestion,
  FalcoConfiguration,
  NotKnown,
} from '../configuration/falco-configuration.ts';
import { type EntryContent, type RulesFile, rulesFilesOf } from '../configuration/rules-entry.ts';
import { selectedTags } from '../configuration/selected-tags.ts';
import { outcomeOf } from './outcome.ts';
import { CopyMaker, type TaggedCopy } from './tagged-copies.ts';

export interface PlannedFile {
  readonly name: string;
  readonly bytes: Buffer;
  /** Falco would refuse it. */
  readonly isBroken: boolean;
}

/** One item of the new list: a folder of copies, or the entry as it was. */
export type PlannedItem =
  | {
      readonly is: 'folder';
      /** `00-falco_rules`: the place in the list, and a name that people know. */
      readonly name: string;
      readonly files: readonly PlannedFile[];
    }
  /** `written`: what stands in the list for it; nothing can where it loads nothing. */
  | { readonly is: 'kept'; readonly written: string | undefined };

export interface PlannedDropIn {
  readonly key: EffectiveRulesFiles['key'];
  /** Empty where Falco's own list stays. */
  readonly items: readonly PlannedItem[];
  /** The file that Falco is to write its alerts to; undefined: its outputs stay as they are. */
  readonly alerts: AlertsKeys | undefined;
}

export interface PublicationPlan {
  /** What the drop-in says; undefined: there must be none, Falco runs its own rules. */
  readonly dropIn: PlannedDropIn | undefined;
  /** Below `last/`. */
  readonly last: readonly PlannedFile[];
}

export interface RulesReport {
  /** What it came to. */
  readonly outcome: Finding;
  /** Entries of the list, and how many of them are folders of copies now. */
  readonly entries: number;
  readonly copiedEntries: number;
  /** Files copied, rules in them and in files that options add, rules that got a tag, and that had it. */
  readonly files: number;
  readonly rules: number;
  readonly tagged: number;
  readonly alreadyTagged: number;
  /** Rules that Falco loads without every tag, as far as can be told: of copies, and of files that options add. */
  readonly untagged: number;
  /** Files copied without a change because nothing could be added to them. */
  readonly copiedAsTheyWere: number;
  /** Entries that stay in the list as they were, with why. */
  readonly kept: readonly Finding[];
  /** What else a user should know: of files, of options. */
  readonly findings: readonly Finding[];
}

export interface Planned {
  readonly plan: PublicationPlan;
  readonly report: RulesReport;
}

export interface PlanQuestion extends ConfigurationQuestion {
  /** None: rules are not tagged. */
  readonly tags: readonly string[];
  /** Falco runs, or may: what is published must be noticed by it. */
  readonly following?: boolean;
  /** Falco's alerts are to be collected, whatever becomes of the rules. */
  readonly alerts?: AlertsQuestion | undefined;
}

/** Nothing published: Falco runs its own rules. */
export const nothing: PublicationPlan = { dropIn: undefined, last: [] };

export function emptyReport(outcome: Finding): RulesReport {
  return {
    ...{ outcome, entries: 0, copiedEntries: 0, files: 0, rules: 0, tagged: 0, alreadyTagged: 0 },
    ...{ untagged: 0, copiedAsTheyWere: 0, kept: [], findings: [] },
  };
}

/** Looks at everything that Falco would load and plans what stands in for it. Reads, writes nothing. */
export function planPublication(question: PlanQuestion): Planned {
  const configuration = new FalcoConfiguration(question);
  const rules = planRules(question, configuration);
  const alerts = question.alerts && planAlerts(configuration, question.alerts);
  if (alerts === undefined) return rules;
  const { plan, report } = rules;
  const { key, items } = plan.dropIn ?? { key: 'rules_files', items: [] };
  return {
    plan: alerts.keys === undefined ? plan : { ...plan, dropIn: { key, items, alerts: alerts.keys } },
    // What is said about them has no part in what the rules came to.
    report: { ...report, findings: [...report.findings, alerts.finding] },
  };
}

/** What goes wrong with the rules is no reason to lose the alerts. */
function planRules(question: PlanQuestion, configuration: FalcoConfiguration): Planned {
  if (question.tags.length === 0) return { plan: nothing, report: emptyReport({ code: 'rules_no_tags' }) };
  const planned = reportingErrors(() => {
    const effective = effectiveRulesFiles(configuration);
    const isSelected = selectedTags(configuration);
    const tags = question.tags.filter((tag) => !isSelected(tag));
    if (tags.length === question.tags.length) return new Planning(question, effective).planned();
    const left: Finding = { code: 'rules_tag_selected', detail: question.tags.filter(isSelected).join(', ') };
    if (tags.length === 0) return emptyReport(left);
    const { plan, report } = new Planning({ ...question, tags }, effective).planned();
    return { plan, report: { ...report, findings: [...report.findings, left] } };
  });
  return 'plan' in planned ? planned : { plan: nothing, report: planned };
}

/** What `attempt` returns, or a report of what it has thrown. */
export function reportingErrors<Result>(attempt: () => Result): Result | RulesReport {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof NotKnown) return emptyReport(error.finding);
    return emptyReport({ code: 'rules_tagging_failed', detail: messageOf(error) });
  }
}

class Planning {
  private readonly question: PlanQuestion;
  private readonly effective: EffectiveRulesFiles;
  private readonly maker: CopyMaker;
  private readonly copies: TaggedCopy[] = [];
  private readonly kept: Finding[] = [];
  private readonly findings: Finding[] = [];
  /** An entry that has to stay in the list, and that no text in it stands for. */
  private notEscapable: RulesFilesEntry | undefined;
  /** What would be copies of files that Falco reads as they are, because an option adds them. */
  private readonly beside: TaggedCopy[] = [];

  constructor(question: PlanQuestion, effective: EffectiveRulesFiles) {
    this.question = question;
    this.effective = effective;
    this.maker = new CopyMaker(question.fileSystem, question.tags);
  }

  planned(): Planned {
    const all = this.effective.entries.map((entry, index) => this.itemFor(entry, index));
    if (this.notEscapable !== undefined) {
      const outcome: Finding = { code: 'rules_path_not_escapable', detail: this.notEscapable.path };
      return { plan: nothing, report: emptyReport(outcome) };
    }
    const items = all.filter((item) => item.is === 'folder' || item.written !== undefined);
    const folders = items.filter((item) => item.is === 'folder').length;
    const last = this.lastFiles();
    const report = this.report(folders, last.length);
    const { key } = this.effective;
    const dropIn = folders === 0 ? undefined : { key, items, alerts: undefined };
    return { plan: { dropIn, last }, report };
  }

  private itemFor(entry: RulesFilesEntry, index: number): PlannedItem {
    const content = this.contentOf(entry);
    const copies = 'code' in content ? content : this.maker.copiesOf(content);
    if ('code' in copies) {
      this.kept.push(copies);
      if (entry.written === undefined && !loadsNothing(content)) this.notEscapable ??= entry;
      return { is: 'kept', written: entry.written };
    }
    this.copies.push(...copies);
    return { is: 'folder', name: numbered(index, posix.basename(entry.path)), files: copies };
  }

  private contentOf(entry: RulesFilesEntry): EntryContent {
    return rulesFilesOf(this.question.fileSystem, entry, this.question.version);
  }

  /**
   * Copies of files that options add behind the list. Loading X again undoes what came after X, so only the
   * longest tail of them is copied in which every file is a full definition of all it names.
   */
  private lastFiles(): PlannedFile[] {
    const uncopied = [...this.effective.replacing];
    const tail = this.safeTail(uncopied);
    this.copies.push(...tail);
    for (const entry of uncopied) this.tellUntagged(entry);
    // Falco loads them by name.
    return tail.map((copy, index) => ({ ...copy, name: `${String(index).padStart(5, '0')}.yaml` }));
  }

  /** Counts the rules of an entry that Falco reads as it is, and tells of it unless they carry the tags. */
  private tellUntagged(entry: RulesFilesEntry): void {
    const content = this.contentOf(entry);
    if ('code' in content) {
      if (!loadsNothing(content)) this.findings.push({ code: 'rules_added_untagged', detail: entry.path });
      return;
    }
    // Apart from the copies, whose total is limited.
    const maker = new CopyMaker(this.question.fileSystem, this.question.tags);
    for (const file of content) {
      const copy = onlyCopy(maker, file);
      if (copy !== undefined) this.beside.push(copy);
      if (copy?.untagged === 0 && copy.tagged === 0 && copy.findings.length === 0) continue;
      this.findings.push({ code: 'rules_added_untagged', detail: file.path });
    }
  }

  private safeTail(uncopied: RulesFilesEntry[]): TaggedCopy[] {
    const tail: TaggedCopy[] = [];
    let safe = this.effective.lastAskedFor;
    for (const entry of [...this.effective.added].reverse()) {
      const content = this.contentOf(entry);
      if ('code' in content) {
        // Where we cannot tell what is loaded, it may be a change to what came before.
        safe &&= loadsNothing(content);
        uncopied.push(entry);
        continue;
      }
      for (const file of content.toReversed()) {
        const copy = safe ? this.copyForLast(file) : undefined;
        safe = copy !== undefined;
        if (copy === undefined) uncopied.push({ ...entry, path: file.path });
        else tail.unshift(copy);
      }
    }
    return tail;
  }

  private copyForLast(file: RulesFile): TaggedCopy | undefined {
    const copy = onlyCopy(this.maker, file);
    return copy?.loadsTwice === true ? copy : undefined;
  }

  private report(copiedEntries: number, last: number): RulesReport {
    const { copies, beside } = this;
    const sum = (of: readonly TaggedCopy[], value: (copy: TaggedCopy) => number) =>
      of.reduce((total, copy) => total + value(copy), 0);
    const counted = {
      entries: this.effective.entries.length,
      copiedEntries,
      files: copies.length,
      rules: sum([...copies, ...beside], ({ rules }) => rules),
      tagged: sum(copies, ({ tagged }) => tagged),
      alreadyTagged: sum([...copies, ...beside], ({ alreadyTagged }) => alreadyTagged),
      untagged: sum(copies, ({ untagged }) => untagged) + sum(beside, (one) => one.untagged + one.tagged),
      copiedAsTheyWere: this.copies.filter((copy) => copy.asItWas).length,
      kept: this.kept,
      findings: [...this.findings, ...this.copies.flatMap((copy) => copy.findings)],
    };
    const { watched } = this.effective;
    const following = this.question.following === true;
    const code = outcomeOf({
      ...counted,
      published: copiedEntries + last > 0,
      unwatched: following && !watched,
    });
    const outcome = detailed(code, this.effective.all);
    if (watched || code === 'rules_watch_off') return { outcome, ...counted };
    const unwatched: Finding = { code: following ? 'rules_watch_off' : 'rules_watch_off_before_start' };
    return { outcome, ...counted, findings: [...counted.findings, unwatched] };
  }
}

/** Nothing is there that Falco would load. */
function loadsNothing(content: EntryContent): boolean {
  const codes: readonly string[] = ['rules_entry_missing', 'rules_entry_empty', 'rules_entry_ignored'];
  return 'code' in content && codes.includes(content.code);
}

function onlyCopy(maker: CopyMaker, file: RulesFile): TaggedCopy | undefined {
  const copies = maker.copiesOf([file]);
  return 'code' in copies ? undefined : copies[0];
}

/** An outcome about paths names them. */
function detailed(code: Finding['code'], entries: readonly RulesFilesEntry[]): Finding {
  const paths = entries.map(({ path, written = path }) => written).join(', ');
  return ['rules_none_visible', 'rules_none_defined', 'rules_none_tagged'].includes(code)
    ? { code, detail: paths }
    : { code };
}

/**
 * `02-rules.d`: no character that a path or a reader could stumble over, no longer than a name may be, and nothing in
 * it that would keep Falco from loading a file below it (FACTS 1.17).
 */
function numbered(index: number, name: string): string {
  const plain = name
    .replace(/\.ya?ml$/, '')
    .replace(/[^A-Za-z0-9._-]|\.(?=ya?ml)/g, '_')
    .slice(0, 100);
  return `${String(index).padStart(2, '0')}-${plain === '' ? 'rules' : plain}`;
}
