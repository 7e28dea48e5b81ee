/**
 * Words and numbers as the readers of Kubernetes manifests take them: kubectl, Helm, Argo CD and Flux read YAML 1.1
 * with go-yaml (FACTS 4.13).
 */

const words = new Map<string, unknown>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map(
    (text) => [text, true] as const,
  ),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map(
    (text) => [text, false] as const,
  ),
  ...['', '~', 'null', 'Null', 'NULL'].map((text) => [text, null] as const),
  ...['.nan', '.NaN', '.NAN'].map((text) => [text, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((text) => [text, Infinity] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((text) => [text, -Infinity] as const),
]);

const wholeNumber = /^([-+]?)(?:0b([01]+)|0x([0-9a-f]+)|0o?([0-7]+)|(0|[1-9][0-9]*))$/i;
const fraction = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:e[-+]?[0-9]+)?$/i;

/**
 * What a plain scalar stands for: a boolean, null, a number or the text itself. Numbers may have `_` anywhere but in
 * front; numbers of base 60 and dates are texts, as they are for kubectl.
 */
export function readPlain(text: string): unknown {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (!/^[-+.0-9]/.test(text)) return text;
  const plain = text.replaceAll('_', '');
  const whole = text.startsWith('.') ? null : wholeNumber.exec(plain);
  if (whole === null) return fraction.test(plain) ? Number(plain) : text;
  const [, sign, binary, hexadecimal, octal, decimal] = whole;
  const bases = [
    [binary, 2],
    [hexadecimal, 16],
    [octal, 8],
    [decimal, 10],
  ] as const;
  const [digits, base] = bases.find(([found]) => found !== undefined) ?? ['', 10];
  const size = base === 10 ? Number(digits) : Number.parseInt(digits ?? '', base);
  // A float would be another number, and be printed as one.
  if (!Number.isSafeInteger(size)) return bigOf(sign, digits, base);
  return sign === '-' ? -size : size;
}

const prefixes: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 10: '', 16: '0x' };

function bigOf(sign: string | undefined, digits: string | undefined, base: number): bigint {
  const size = BigInt(`${prefixes[base]}${digits}`);
  return sign === '-' ? -size : size;
}

/** What some reader of YAML 1.1 or 1.2 takes for something else than a text, whatever kubectl does. */
const taken = [
  /^(?:y|n|yes|no|on|off|true|false|null|nan|inf|=|<<)$/i,
  // Base 60, times too.
  /^[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?$/,
  // Dates.
  /^[0-9]{4}-[0-9]/,
  // Numbers, with a lenient eye: without digits, with `_` and `,` anywhere.
  /^[-+]?[0-9_,]*(?:\.[0-9_,]*)?(?:e[-+]?[0-9_]+)?$/i,
];

/** Line breaks and whatever is not to be seen. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;

/** Neither may stand plain in brackets for libyaml and go-yaml, though YAML 1.2 lets it. */
const refused = /^:|\?/;

/** Whether a text of ours must be quoted, so that every reader takes it for a text. */
export function needsQuotes(text: string): boolean {
  return (
    typeof readPlain(text) !== 'string' ||
    [invisible, refused, ...taken].some((pattern) => pattern.test(text))
  );
}
