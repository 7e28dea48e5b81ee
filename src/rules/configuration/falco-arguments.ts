/** What Falco's own command line says, read once (FACTS 1.4, 1.6, 1.13). */
export interface FalcoArguments {
  /** The last `-c FILE`. */
  readonly configFile: string | undefined;
  /** `-o`, `--option`, in order. */
  readonly options: readonly FalcoOption[];
  /** The first `-r FILE`, '' where nothing follows it: Falco then ignores rules_files (FACTS 1.6). */
  readonly rulesArgument: string | undefined;
  /** Tags that `-t` and `-T` select rules by (FACTS 1.23). */
  readonly selectedTags: readonly string[];
  /** The option with which Falco prints or checks something and ends, as it is written: `-V`; undefined where it runs. */
  readonly looks: string | undefined;
  /** Arguments that decide what the configuration is, and still hold a `$(NAME)` that Kubernetes did not expand. */
  readonly unexpanded: readonly string[];
}

/** One `-o` option: `rules_files[]=/x` is `rules_files`, `[]` and `/x`. */
export interface FalcoOption {
  readonly text: string;
  readonly key: string;
  /** What leads on from the key: indexes, `[]`, further keys. */
  readonly path: string;
  /** undefined where there is no `=`: Falco stops. */
  readonly value: string | undefined;
}

// Options without a value, of Falco 0.38 to 0.44; whatever else is known takes the next argument.
const flags: ReadonlySet<string> = new Set([...'hAbiLNUv']);
const longOptionsWithValue: ReadonlySet<string> = new Set([
  ...['option', 'cri', 'disable-source', 'enable-source', 'format', 'plugin-info', 'print', 'pidfile'],
  ...['snaplen', 'validate', 'gvisor-config', 'gvisor-root', 'gvisor-generate-config'],
]);

const unexpandedVariable = /\$\([A-Za-z_.-][\w.-]*\)/;

/**
 * Options with which Falco prints or checks something and ends (userspace/falco/app/options.cpp and app/actions of
 * Falco 0.38 to 0.44, where each ends the run; `--list-syscall-events` is older).
 */
const looking: ReadonlySet<string> = new Set([
  ...['h', 'help', 'version', 'support', 'page-size', 'config-schema', 'rule-schema'],
  ...['V', 'validate', 'dry-run', 'L', 'l', 'i', 'list', 'list-events', 'list-syscall-events'],
  ...['list-plugins', 'plugin-info', 'gvisor-generate-config'],
]);

/** As cxxopts reads a flag that is turned off. */
const isOff = (value: string | undefined): boolean => /^([fF](alse)?|0)$/.test(value ?? '');

/** One option that is given, by the name it is given under; a free word has the name ''. */
interface Given {
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
  const configFile = valuesOf('c').at(-1);
  const texts = valuesOf('o', 'option');
  const others = [configFile ?? '', ...given.flatMap((one) => (one.name === '' ? [one.value ?? ''] : []))];
  const rules = given.find((one) => one.name === 'r');
  return {
    configFile,
    options: texts.map(readFalcoOption),
    rulesArgument: rules && (rules.value ?? ''),
    selectedTags: valuesOf('t', 'T'),
    looks: lookingOption(given),
    unexpanded: [
      ...texts.filter(hasUnexpandedKeyOrValue),
      ...others.filter((value) => unexpandedVariable.test(value)),
    ],
  };
}

export function readFalcoOption(text: string): FalcoOption {
  const equals = text.indexOf('=');
  const left = equals === -1 ? text : text.slice(0, equals);
  const [, key = left, path = ''] = /^([^.[\\]+)(.*)$/s.exec(left) ?? [];
  return { text, key, path, value: equals === -1 ? undefined : text.slice(equals + 1) };
}

function lookingOption(given: readonly Given[]): string | undefined {
  const one = given.find(({ name, value }) => looking.has(name) && (name.length === 1 || !isOff(value)));
  return one && (one.name.length === 1 ? `-${one.name}` : `--${one.name}`);
}

/** Values of other keys may hold whatever they like: which config files there are is what everything hangs on. */
function hasUnexpandedKeyOrValue(option: string): boolean {
  const [key = ''] = option.split('=', 1);
  return unexpandedVariable.test(key) || (/^\s*config_files/.test(key) && unexpandedVariable.test(option));
}

/** The `$(NAME)` in a text that Kubernetes has not expanded here, and may have for Falco. */
export function unexpandedIn(text: string): readonly string[] {
  return text.match(new RegExp(unexpandedVariable, 'g')) ?? [];
}

/** Every option in Falco's arguments, in order. */
function* givenOptions(args: readonly string[]): Generator<Given> {
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
