/**
 * Where the members of a JSON object stand in its text, so that a text can be completed without printing it anew:
 * numbers such as Falco's nanoseconds (`"evt.time": 1534527348518937838`) are larger than JSON.parse can hold exactly.
 */

/** One `"key": value`. Offsets are those of the text. */
export interface Member {
  readonly key: string;
  /** The value's first character, and behind its last. */
  readonly start: number;
  readonly end: number;
}

const blank = /[ \t\r\n]*/y;
/** A number or one of the three words. */
const plain = /[^,\]}\s]+/y;

function behindBlanks(text: string, at: number): number {
  blank.lastIndex = at;
  blank.test(text);
  return blank.lastIndex;
}

/** Behind the closing quote of the text that begins at `at`. */
function behindText(text: string, at: number): number {
  let next = at + 1;
  for (;;) {
    const quote = text.indexOf('"', next);
    if (quote === -1) return text.length;
    let slashes = 0;
    while (text.charAt(quote - 1 - slashes) === '\\') slashes++;
    next = quote + 1;
    if (slashes % 2 === 0) return next;
  }
}

/** Behind the closing bracket of the object or list that begins at `at`; -1 where others lie deeper in it. */
function behindBrackets(text: string, at: number, most = Number.POSITIVE_INFINITY): number {
  let depth = 0;
  for (let next = at; next < text.length; ) {
    const character = text.charAt(next);
    if (character === '"') {
      next = behindText(text, next);
      continue;
    }
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    if (depth > most) return -1;
    next++;
    if (depth === 0) return next;
  }
  return text.length;
}

/** Whether a character comes so often. */
function comesOften(text: string, character: string, often: number): boolean {
  let at = -1;
  for (let count = 0; count < often; count++) {
    at = text.indexOf(character, at + 1);
    if (at === -1) return false;
  }
  return true;
}

/**
 * Whether objects and lists of a text that may be JSON lie deeper in each other. Looked at before it is parsed, as
 * parsing a megabyte of `{"":` takes a hundred times as long.
 */
export function isDeeperThan(text: string, most: number): boolean {
  // Most events do not have as many at all.
  const half = Math.floor(most / 2);
  if (!comesOften(text, '{', half) && !comesOften(text, '[', half)) return false;
  return behindBrackets(text, text.search(/[{[]/), most) === -1;
}

function behindValue(text: string, at: number): number {
  const character = text.charAt(at);
  if (character === '"') return behindText(text, at);
  if (character === '{' || character === '[') return behindBrackets(text, at);
  plain.lastIndex = at;
  plain.test(text);
  return plain.lastIndex;
}

/**
 * The members of the object whose `{` stands at `open`, in order, doubles included.
 *
 * @param text JSON that JSON.parse has accepted: nothing is checked here
 */
export function membersOf(text: string, open: number): Member[] {
  const members: Member[] = [];
  let at = behindBlanks(text, open + 1);
  while (text.charAt(at) === '"') {
    const keyEnd = behindText(text, at);
    // Safe: a key of JSON is a text of JSON.
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const start = behindBlanks(text, behindBlanks(text, keyEnd) + 1);
    const end = behindValue(text, start);
    members.push({ key, start, end });
    at = behindBlanks(text, end);
    if (text.charAt(at) !== ',') break;
    at = behindBlanks(text, at + 1);
  }
  return members;
}
