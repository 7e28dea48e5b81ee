/** The few of Falco's own command-line arguments that decide which rules files it reads. */
export interface FalcoArguments {
  /** The last `-c FILE`. */
  readonly configFile: string | undefined;
  /** Values of `-o`, `--option`, in order: `key=value`. */
  readonly options: readonly string[];
  /** The first `-r FILE`, '' where nothing follows it: Falco then ignores rules_files (FACTS 1.6). */
  readonly rulesArgument: string | undefined;
  /** Arguments that matter here and still hold a `$(NAME)` that Kubernetes did not expand. */
  readonly unexpanded: readonly string[];
}

// Options without a value, of Falco 0.38 to 0.44; whatever else is known takes the next argument.
const flags: ReadonlySet<string> = new Set([...'hAbiLNUv']);
const longOptionsWithValue: ReadonlySet<string> = new Set([
  ...['option', 'cri', 'disable-source', 'enable-source', 'format', 'plugin-info', 'print', 'pidfile'],
  ...['snaplen', 'validate', 'gvisor-config', 'gvisor-root', 'gvisor-generate-config'],
]);

const unexpandedVariable = /\$\([A-Za-z_.-][\w.-]*\)/;
const keysThatMatter = /^\s*(?:rules_files?|config_files)/;

/** One option that is given, by the name it is given under; a free word has the name ''. */
export interface Given {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads arguments as cxxopts does for Falco: `-o V`, `--option V`, `--option=V`, groups of short flags
 * (`-vr FILE`), `--` ends the options. The program's own name in front does no harm.
 */
export function readFalcoArguments(args: readonly string[]): FalcoArguments {
  const given = [...givenOptions(args)];
  const valuesOf = (...names: string[]) =>
    given.flatMap((one) => (names.includes(one.name) && one.value !== undefined ? [one.value] : []));
  const options = valuesOf('o', 'option');
  const configFile = valuesOf('c').at(-1);
  const unexpanded = [
    ...options.filter(hasUnexpandedKeyOrValue),
    ...(configFile === undefined ? [] : [configFile]).filter((value) => unexpandedVariable.test(value)),
    ...given
      .flatMap((one) => (one.name === '' ? [one.value ?? ''] : []))
      .filter((value) => unexpandedVariable.test(value)),
  ];
  const rules = given.find((one) => one.name === 'r');
  return { configFile, options, rulesArgument: rules && (rules.value ?? ''), unexpanded };
}

/** An option of ours or of any other key may hold whatever it likes. */
function hasUnexpandedKeyOrValue(option: string): boolean {
  const [key = ''] = option.split('=', 1);
  return unexpandedVariable.test(key) || (keysThatMatter.test(key) && unexpandedVariable.test(option));
}

/** Every option in Falco's arguments, in order. */
export function* givenOptions(args: readonly string[]): Generator<Given> {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--') return;
    const { given, takesNext } = readOne(arg);
    yield* given;
    if (takesNext === undefined) continue;
    index++;
    yield { name: takesNext, value: args[index] };
  }
}

interface ReadArgument {
  readonly given: readonly Given[];
  /** Name of the option whose value is the next argument. */
  readonly takesNext?: string;
}

function readOne(arg: string): ReadArgument {
  const long = /^--([A-Za-z0-9][-\w.]+)(?:=(.*))?$/s.exec(arg);
  if (long !== null) {
    const name = long[1] ?? '';
    if (long[2] !== undefined) return { given: [{ name, value: long[2] }] };
    return longOptionsWithValue.has(name)
      ? { given: [], takesNext: name }
      : { given: [{ name, value: undefined }] };
  }
  return /^-[A-Za-z0-9]+$/.test(arg) ? readShort(arg.slice(1)) : { given: [{ name: '', value: arg }] };
}

function readShort(letters: string): ReadArgument {
  const given: Given[] = [];
  for (let index = 0; index < letters.length; index++) {
    const name = letters.charAt(index);
    if (flags.has(name)) {
      given.push({ name, value: undefined });
      continue;
    }
    if (index === letters.length - 1) return { given, takesNext: name };
    return { given: [...given, { name, value: letters.slice(index + 1) }] };
  }
  return { given };
}
