import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { defaultNamespaces, type Holder, type Issuing } from '../certificates/federation-authority.ts';
import { messageOf } from '../reasons/message-of.ts';
import { issue, list } from './certs/federation.ts';
import { type Making, make } from './certs/make.ts';
import { defaultDir, show } from './certs/show.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';

const defaultNames = ['falco-federation-webhook.falco-federation.svc', 'localhost', '127.0.0.1'];
const defaultDays = 365;
const authorityDays = 3650;

const help = `Usage: falco-federation certs make [--dir DIR] [--name DNS|IP]… [--days N] [--force]
       falco-federation certs show [-o text|json] [FILE…]
       falco-federation certs hub --name DNS [--dir DIR] [--days N] [--namespace NS] [--renew]
       falco-federation certs spoke NAME [--dir DIR] [--days N] [--namespace NS] [--renew] [--authority-only]
       falco-federation certs list [--dir DIR]

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

hub, spoke: a federation's own authority, made where there is none yet, issues the hub's server certificate, and a
client certificate for the forwarder of a spoke: as files, and as secret.yaml for kubectl apply.

      --dir DIR       where all of it lies (default: ${defaultDir}); federation-ca.key in it is the federation's secret
      --name DNS      hub: name or address by which spokes reach it; may be given more than once; renewed: as before
      --days N        how long the certificate is valid (default: ${defaultDays}; the authority: ${authorityDays})
      --namespace NS  of the Secret (default: hub ${defaultNamespaces.hub}, spoke ${defaultNamespaces.spoke}; renewed: as before)
      --renew         make a new certificate in the place of the one that is there
      --authority-only
                      spoke: only ca.crt, for a hub that asks for no client certificates

list: who has a certificate of the federation, and until when.

      --help          this text

Exit status: 0 done, 1 could not, or some certificate shown or listed is expired or cannot be read, 2 wrong use.
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
      namespace: { type: 'string' },
      renew: { type: 'boolean' },
      'authority-only': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const [action, ...files] = positionals;
  return { ...values, action, files };
}

type Flags = ReturnType<typeof readFlags>;

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const labelOfHost = new RegExp(label, 'i');

function isName(name: string): boolean {
  if (isIP(name) !== 0) return true;
  const labels = (name.startsWith('*.') ? name.slice(2) : name).split('.');
  // All digits at the end is an address that is none: 10.0.0.256.
  const isHost = labels.every((part) => labelOfHost.test(part)) && !/^\d+$/.test(labels.at(-1) ?? '');
  return isHost && name.length <= 253;
}

function readNames(names: readonly string[]): readonly string[] {
  const bad = names.find((one) => !isName(one));
  if (bad !== undefined) throw new Error(`--name ${JSON.stringify(bad)} is no DNS name or IP address`);
  return [...new Set(names)];
}

function readDays(days: string | undefined): number {
  const number = days === undefined ? defaultDays : Number(days);
  // Ten years: what is longer is refused by some clients, and never renewed by anybody.
  if (!Number.isInteger(number) || number < 1 || number > 3650) {
    throw new Error(`--days must be a whole number from 1 to 3650, not "${days}"`);
  }
  return number;
}

function readMaking({ dir = defaultDir, name = defaultNames, days, force = false }: Flags): Making {
  return { dir, names: readNames(name), days: readDays(days), force };
}

function readHolder({ action, files, name = [], namespace }: Flags): Holder {
  const [spoke] = files;
  if (action === 'hub') return { is: 'hub', names: readNames(name), namespace };
  if (spoke === undefined) throw new Error('certs spoke needs the name of the cluster: certs spoke staging');
  // It becomes a folder, a subject and a DNS name.
  if (!label.test(spoke))
    throw new Error(
      `certs spoke ${JSON.stringify(spoke)}: must be made of a-z, 0-9 and "-", begin and end with no "-", and have 63 characters at the most`,
    );
  return { is: 'spoke', name: spoke, namespace };
}

function readIssuing(flags: Flags): Issuing {
  const { dir = defaultDir, days, namespace, renew = false, 'authority-only': authorityOnly = false } = flags;
  if (namespace !== undefined && !label.test(namespace))
    throw new Error(`--namespace ${JSON.stringify(namespace)} is no name of a namespace`);
  const common = { dir, renew, authorityOnly, authorityDays, now: Date.now() };
  return { ...common, holder: readHolder(flags), days: readDays(days) };
}

/** Flags that each action has. */
const flagsOf: Readonly<Record<string, readonly string[]>> = {
  make: ['dir', 'name', 'days', 'force'],
  show: ['output'],
  hub: ['dir', 'name', 'days', 'namespace', 'renew'],
  spoke: ['dir', 'days', 'namespace', 'renew', 'authority-only'],
  list: ['dir'],
};

/** How many arguments each action takes. */
const mostArguments: Readonly<Record<string, number>> = { show: Number.POSITIVE_INFINITY, spoke: 1 };

/** What belongs to another action is wrong use: nobody should think that it did something. */
function refuseOthers({ action = '', files, help: _help, ...given }: Flags): void {
  const known = flagsOf[action];
  if (known === undefined)
    throw new Error(
      action === '' ? `${Object.keys(flagsOf).join(', ')}? See certs --help` : `there is no certs ${action}`,
    );
  for (const [flag, value] of Object.entries(given))
    if (value !== undefined && !known.includes(flag)) throw new Error(`certs ${action} has no --${flag}`);
  const tooMany = files[mostArguments[action] ?? 0];
  if (tooMany !== undefined) throw new Error(`certs ${action} has no argument "${tooMany}"`);
}

/** What to do, after all that can be wrong with how it was asked for. */
function readAction(argv: readonly string[], io: CommandIo): () => Promise<number> {
  const flags = readFlags(argv);
  if (flags.help === true) {
    return async () => {
      io.stdout.write(help);
      return done;
    };
  }
  refuseOthers(flags);
  switch (flags.action) {
    case 'make': {
      const making = readMaking(flags);
      return () => make(making, io);
    }
    case 'show': {
      const { output } = flags;
      if (!['text', 'json', undefined].includes(output))
        throw new Error(`--output must be text or json, not "${output}"`);
      return () => show(flags, io);
    }
    case 'list':
      return () => list(flags.dir ?? defaultDir, io, Date.now());
    default: {
      const issuing = readIssuing(flags);
      return () => issue(issuing, io);
    }
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
