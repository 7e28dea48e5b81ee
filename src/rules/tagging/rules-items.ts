/** What the items of a rules file are to Falco, as far as tags and loading twice are concerned. */
import type { YAMLMap } from 'yaml';
import {
  isMap,
  isNull,
  type Node,
  resolve,
  textOf,
  valueUnder,
  type YamlDocument,
} from '../../yaml/falco-yaml.ts';

/**
 * - `rule`: a rule defined in full; its tags are those in the item;
 * - `tags_replaced`: an override that gives a rule new tags (FACTS 1.3);
 * - `definition`: a list, macro or requirement that stands for itself;
 * - `change`: an append, an override, an on/off switch: depends on what was loaded before;
 * - `unknown`: nothing that Falco knows.
 */
export type ItemKind = 'rule' | 'tags_replaced' | 'definition' | 'change' | 'unknown';

const keysOfFullRule = ['condition', 'output', 'desc', 'priority'];

/** The order of questions is the engine's: the first key it knows decides what an item is. */
export function kindOfItem(item: YAMLMap.Parsed, document: YamlDocument): ItemKind {
  const has = (key: string) => valueUnder(item, key, document) !== undefined;
  if (has('required_engine_version') || has('required_plugin_versions')) return 'definition';
  const overridden = overriddenKeys(item, document);
  const changes =
    overridden.size > 0 || isTrue(resolve(valueUnder(item, 'append', document) ?? null, document));
  if (has('list') || has('macro')) return changes ? 'change' : 'definition';
  if (!has('rule')) return 'unknown';
  if (overridden.get('tags') === 'replace') return 'tags_replaced';
  // Without any of these the item can only switch an earlier rule on or off, and its tags are ignored.
  return changes || !keysOfFullRule.some(has) ? 'change' : 'rule';
}

/** The keys under `override` with what is to be done to them; an empty or null `override` is none. */
function overriddenKeys(item: YAMLMap.Parsed, document: YamlDocument): ReadonlyMap<string, string> {
  const override = resolve(valueUnder(item, 'override', document) ?? null, document);
  if (override === null || !isMap(override)) return new Map();
  return new Map(
    override.items.map(({ key, value }) => [
      textOf(resolve(key, document)),
      textOf(resolve(value, document)),
    ]),
  );
}

/** Falco's words for true, quoted or not. */
function isTrue(node: Node): boolean {
  return !isNull(node) && /^(?:y|yes|true|on)$/i.test(textOf(node));
}
