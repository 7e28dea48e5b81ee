import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { messageOf } from '../reasons/message-of.ts';
import { type Making, make } from './certs/make.ts';
import { defaultDir, show } from './certs/show.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';

const defaultNames = ['falco-federation-webhook.falco-federation.svc', 'localhost', '127.0.0.1'];
const defaultDays = 365;

const help = `Usage: falco-federation certs make [--dir DIR] [--name DNS|IP]… [--days N] [--force]
       falco-federation certs show [-o text|json] [FILE…]

make: makes an authority and a serving certificate signed by it: ca.crt, tls.crt and tls.key, which only you can
read. The authority's key is not kept: to renew, make all three again.

      --dir DIR       where they go (default: ${defaultDir})
      --name NAME     DNS name or IP address that the webhook is called by; may be given more than once
                      (default: ${defaultNames.join(', ')})
      --days N        how long they are valid (default: ${defaultDays})
      --force         overwrite what is there

show: tells what the certificates in PEM files are (default: ${defaultDir}/*.crt), until when, and whether a ca.crt
beside the file verifies them.

  -o, --output FORM   text or json (default: text)
      --help          this text

Exit status: 0 done, 1 could not, or some certificate shown is expired or cannot be read, 2 wrong use.
`;

function readFlags(argv: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      name: { type: 'string', multiple: true },
      days: { type: 'string' },
      force: { type: 'boolean' },
      output: { type: 'string', short: 'o' },
      help: { type: 'boolean' },
    },
  });
  const [action, ...files] = positionals;
  return { ...values, action, files };
}

type Flags = ReturnType<typeof readFlags>;

/** Flags of the one action are wrong use of the other: nobody should think that they did something. */
function refuse(action: string, given: Readonly<Record<string, unknown>>): void {
  const wrong = Object.entries(given).find(([, value]) => value !== undefined);
  if (wrong !== undefined) throw new Error(`certs ${action} has no ${wrong[0]}`);
}

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

function isName(name: string): boolean {
  const host = name.startsWith('*.') ? name.slice(2) : name;
  return isIP(name) !== 0 || (host.length <= 253 && host.split('.').every((part) => label.test(part)));
}

function readMaking({ dir = defaultDir, name: names = defaultNames, days, force = false }: Flags): Making {
  const bad = names.find((one) => !isName(one));
  if (bad !== undefined) throw new Error(`--name ${JSON.stringify(bad)} is no DNS name or IP address`);
  const number = days === undefined ? defaultDays : Number(days);
  // Ten years: what is longer is refused by some clients, and never renewed by anybody.
  if (!Number.isInteger(number) || number < 1 || number > 3650) {
    throw new Error(`--days must be a whole number from 1 to 3650, not "${days}"`);
  }
  return { dir, names: [...new Set(names)], days: number, force };
}

/** What to do, after all that can be wrong with how it was asked for. */
function readAction(argv: readonly string[], io: CommandIo): () => Promise<number> {
  const flags = readFlags(argv);
  const { action, files, dir, name, days, force, output } = flags;
  if (flags.help === true) {
    return async () => {
      io.stdout.write(help);
      return done;
    };
  }
  switch (action) {
    case 'make': {
      refuse('make', { '--output': output, [`argument "${files[0]}"`]: files[0] });
      const making = readMaking(flags);
      return () => make(making, io);
    }
    case 'show':
      refuse('show', { '--dir': dir, '--name': name, '--days': days, '--force': force });
      if (!['text', 'json', undefined].includes(output))
        throw new Error(`--output must be text or json, not "${output}"`);
      return () => show(flags, io);
    default:
      throw new Error(
        action === undefined ? 'make or show? See certs --help' : `there is no certs ${action}`,
      );
  }
}

/** `falco-federation certs`: see its help. */
export async function certs(argv: readonly string[], io: CommandIo): Promise<number> {
  const tell = (error: unknown): void => {
    io.stderr.write(`falco-federation certs: ${messageOf(error)}\n`);
  };
  let act: () => Promise<number>;
  try {
    act = readAction(argv, io);
  } catch (error) {
    tell(error);
    return wrongUse;
  }
  try {
    return await act();
  } catch (error) {
    tell(error);
    return couldNot;
  }
}
