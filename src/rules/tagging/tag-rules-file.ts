/**
 * Adds tags to the rules of one rules file by editing its text: every byte that is not an added tag stays. What the
 * file is to Falco is read first; where a tag goes is decided for each rule; what comes of it is proved. A rule for
 * which that fails stays as it was, and the others get their tags.
 */
import type { ReasonCode } from '../../reasons/reasons.ts';
import {
  applyEdits,
  byteText,
  decodeFile,
  type EncodedText,
  resolve,
  textOf,
  unicodeText,
} from '../../yaml/falco-yaml.ts';
import { type EditedText, firstDifference } from './only-tags-added.ts';
import { type FileFinding, nameOf, type RuleItem, type RulesText, readRules } from './read-rules.ts';
import { type TagEdit, TagEditor } from './tag-edit.ts';

export interface TaggedFile {
  /** The file to publish: the very bytes that came in wherever nothing could be added safely. */
  readonly bytes: Buffer;
  /** Rules that Falco would load from this file and that carry tags: full definitions and replaced tags. */
  readonly rules: number;
  /** How many of them got at least one tag now. */
  readonly tagged: number;
  /** How many of them had every tag before. */
  readonly alreadyTagged: number;
  /** How many of them, as far as can be told, do not carry every tag now. */
  readonly untagged: number;
  readonly findings: readonly FileFinding[];
  /** Every item is a full definition: Falco may load the file twice, tagged last (FACTS 1.13). */
  readonly loadsTwice: boolean;
}

/**
 * Tags a rules file, in whatever encoding it is. `tags` are those that each rule must have, in order; none may be
 * empty or hold control characters. Never throws: whatever goes wrong, Falco must still get its file.
 */
export function tagRulesFile(bytes: Buffer, tags: readonly string[]): TaggedFile {
  try {
    const file = decodeFile(bytes);
    const rules = readRules(file.text);
    if (rules.finding !== undefined) return leftAsItWas(bytes, rules, rules.finding);
    const tagging = new Tagging(file.text, rules, tags.map(byteText));
    return tagging.result(bytes, file);
  } catch (error) {
    const finding = { code: 'rules_file_not_parsed', line: 1, detail: String(error) } as const;
    return leftAsItWas(bytes, { rules: [], loadsTwice: false, finding }, finding);
  }
}

function leftAsItWas(bytes: Buffer, text: RulesText, finding: FileFinding): TaggedFile {
  const rules = text.rules.filter(({ loaded }) => loaded).length;
  return {
    ...{ bytes, rules, tagged: 0, alreadyTagged: 0, untagged: rules, loadsTwice: text.loadsTwice },
    findings: [finding],
  };
}

/** What is done about a rule: an edit, which others may need too, or nothing. */
type Plan =
  | { readonly is: 'edited'; readonly edit: TagEdit }
  | { readonly is: 'already_tagged' }
  | { readonly is: 'left'; readonly code: ReasonCode; readonly line: number };

/** How many edits may turn out to be wrong before none is trusted. */
const mostUnproven = 20;

class Tagging {
  private readonly text: string;
  private readonly rules: RulesText;
  private readonly tags: readonly string[];
  private readonly editor: TagEditor;
  /** Edits by the list or the mapping that they change: an alias of it needs no other. */
  private readonly edits = new Map<unknown, TagEdit>();

  constructor(text: string, rules: RulesText, tags: readonly string[]) {
    this.text = text;
    this.rules = rules;
    this.tags = tags;
    this.editor = new TagEditor(text);
  }

  result(bytes: Buffer, file: EncodedText): TaggedFile {
    const plans = this.rules.rules.map((rule) => ({ rule, plan: this.planFor(rule) }));
    const { after, edits } = this.proven();
    const proven = new Set(edits);
    const count = { rules: 0, tagged: 0, alreadyTagged: 0, untagged: 0 };
    const findings: FileFinding[] = [];
    for (const { rule, plan } of plans) {
      const left = whyLeft(rule, plan, proven);
      if (left !== undefined) findings.push(left);
      if (!rule.loaded) continue;
      count.rules++;
      if (left !== undefined) count.untagged++;
      else if (plan.is === 'edited') count.tagged++;
      else count.alreadyTagged++;
    }
    const { loadsTwice } = this.rules;
    const published = edits.length === 0 ? bytes : file.encoded(after, edits);
    return { bytes: published, ...count, findings, loadsTwice };
  }

  private planFor(rule: RuleItem): Plan {
    const { map, tags } = rule;
    if (tags === undefined) {
      return this.planned(map, map.line, () => this.editor.addKey(map, this.tags));
    }
    const { list, value } = tags;
    const had = list.items.map((tag) => textOf(resolve(tag)));
    const missing = this.tags.filter((tag) => !had.includes(tag));
    if (missing.length === 0) return { is: 'already_tagged' };
    if (!rule.shared) return this.planned(list, list.line, () => this.editor.growList(list, missing));
    if (value.is !== 'alias') return { is: 'left', code: 'rules_tags_shared', line: value.line };
    return this.planned(value, value.line, () => this.editor.writeOut(value, [...had, ...missing]));
  }

  private planned(changed: unknown, line: number, make: () => TagEdit | undefined): Plan {
    const edit = this.edits.get(changed) ?? make();
    if (edit === undefined) return { is: 'left', code: 'rules_rule_not_tagged', line };
    this.edits.set(changed, edit);
    return { is: 'edited', edit };
  }

  /** The text with the edits that together add nothing but tags. */
  private proven(): EditedText {
    const before = this.text;
    let edits = [...this.edits.values()].sort((a, b) => a.at - b.at);
    for (let tries = 0; tries <= mostUnproven && edits.length > 0; tries++) {
      const edited = { before, after: applyEdits(before, edits), edits };
      const at = firstDifference(edited);
      if (at === undefined) return edited;
      const wrong = nearest(edits, at);
      edits = edits.filter((edit) => edit !== wrong);
    }
    return { before, after: before, edits: [] };
  }
}

function nearest(edits: readonly TagEdit[], at: number): TagEdit | undefined {
  const distance = (edit: TagEdit) => Math.abs(edit.at - at);
  return edits.reduce<TagEdit | undefined>(
    (best, edit) => (best === undefined || distance(edit) < distance(best) ? edit : best),
    undefined,
  );
}

function whyLeft(rule: RuleItem, plan: Plan, proven: ReadonlySet<TagEdit>): FileFinding | undefined {
  const name = nameOf(rule);
  const detail = `rule ${unicodeText(name) ?? name}`;
  if (plan.is === 'left') return { code: plan.code, line: plan.line, detail };
  if (plan.is === 'already_tagged' || proven.has(plan.edit)) return undefined;
  return { code: 'rules_file_edit_unproven', line: rule.map.line, detail };
}
