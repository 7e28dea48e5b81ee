/** Which series a PromQL query asks for, and by which labels; whether it is PromQL at all, promtool says. */

export interface AskedSeries {
  readonly metric: string;
  /** Those of its matchers. */
  readonly labels: readonly string[];
}

export interface Asked {
  readonly series: readonly AskedSeries[];
  /** Those of `by (…)`, `on (…)` and the like. */
  readonly groupedBy: readonly string[];
}

const token =
  /\s+|(?<text>"(?:[^"\\]|\\.)*")|(?<range>\[[^\]]*\])|(?<number>\d[\w.]*)|(?<name>[A-Za-z_:][\w:]*)|(?<sign>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},])/y;

const grouping: ReadonlySet<string> = new Set([
  'by',
  'without',
  'on',
  'ignoring',
  'group_left',
  'group_right',
]);
const words: ReadonlySet<string> = new Set(['and', 'or', 'unless', 'bool', 'offset']);

interface Token {
  readonly kind: string;
  readonly text: string;
}

function tokensOf(query: string): readonly Token[] {
  const tokens: Token[] = [];
  for (token.lastIndex = 0; token.lastIndex < query.length; ) {
    const at = token.lastIndex;
    const groups = token.exec(query)?.groups;
    if (groups === undefined) throw new Error(`not read from here on: ${query.slice(at)}`);
    for (const [kind, text] of Object.entries(groups)) if (text !== undefined) tokens.push({ kind, text });
  }
  return tokens;
}

/** The names between the bracket `open` at `from` and its partner, and where that is; without a bracket there, none. */
function within(tokens: readonly Token[], from: number, open: '{' | '(') {
  if (tokens[from]?.text !== open) return { names: [], end: from - 1 };
  const close = open === '{' ? '}' : ')';
  const end = tokens.findIndex(({ text }, at) => at > from && text === close);
  const names = tokens.slice(from, end).flatMap(({ kind, text }) => (kind === 'name' ? [text] : []));
  return { names, end };
}

/** Whether the name of a series is here: functions and aggregations have a bracket or their grouping behind them. */
function isSeries(tokens: readonly Token[], at: number): boolean {
  const next = tokens[at + 1]?.text ?? '';
  const { kind, text } = tokens[at] ?? {};
  return kind === 'name' && !words.has(text ?? '') && next !== '(' && !grouping.has(next);
}

export function askedBy(query: string): Asked {
  const tokens = tokensOf(query);
  const series: AskedSeries[] = [];
  const groupedBy: string[] = [];
  for (let at = 0; at < tokens.length; at += 1) {
    const text = tokens[at]?.text ?? '';
    if (text === '{') throw new Error(`a selector without a name: ${query}`);
    if (grouping.has(text)) {
      const { names, end } = within(tokens, at + 1, '(');
      groupedBy.push(...names);
      at = end;
    } else if (isSeries(tokens, at)) {
      const { names, end } = within(tokens, at + 1, '{');
      series.push({ metric: text, labels: names });
      at = end;
    }
  }
  return { series, groupedBy };
}
