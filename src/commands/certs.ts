import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { defaultNamespace, type Holder, type Issuing } from '../certificates/federation-authority.ts';
import { issue, list } from './certs/federation.ts';
import type { CommandIo } from './command.ts';
import { withFlags } from './with-flags.ts';

const defaultDir = 'certs';
const defaultDays = 365;
const authorityDays = 3650;

const help = `Usage: falco-federation certs SUBCOMMAND [FLAGS]

A federation's own authority, and the certificates that it issues, as files and as Secret manifests.

  hub     issue the hub's server certificate
  spoke   issue a spoke's client certificate
  list    show who has a certificate, and until when it is valid

The first certificate that is issued makes the authority. Each subcommand has --help.
`;

const issuingFlags = `      --dir DIR       where all files are (default: ${defaultDir}); federation-ca.key in it must stay secret
      --days N        how long the certificate is valid (default: ${defaultDays}; the authority: ${authorityDays})`;

const exitStatus = 'Exit status: 0 done, 1 could not, 2 wrong use.';

const hubHelp = `Usage: falco-federation certs hub --name DNS [--name DNS]… [--dir DIR] [--days N] [--namespace NS] [--renew]

Issues the hub's server certificate: hub/tls.crt, tls.key, ca.crt, and secret.yaml for kubectl apply. Makes the
federation's authority first, where there is none yet.

      --name DNS      name or address by which spokes reach the hub; repeat it for more than one (with --renew: as before)
${issuingFlags}
      --namespace NS  of the Secret (default: ${defaultNamespace}; with --renew: as before)
      --renew         replace the certificate that is there
      --help          this text

${exitStatus}
`;

const spokeHelp = `Usage: falco-federation certs spoke NAME [--dir DIR] [--days N] [--namespace NS] [--renew]

Issues the client certificate of a spoke's forwarder: spokes/NAME/tls.crt, tls.key, ca.crt, and secret.yaml for kubectl
apply. NAME is the name of the cluster. Makes the federation's authority first, where there is none yet.

${issuingFlags}
      --namespace NS  of the Secret (default: ${defaultNamespace}; with --renew: as before)
      --renew         replace the certificate that is there
      --help          this text

${exitStatus}
`;

const listHelp = `Usage: falco-federation certs list [--dir DIR]

Shows the authority and every certificate that it has issued: name, valid until, days left, DNS names and addresses.

      --dir DIR       where all files are (default: ${defaultDir})
      --help          this text

Exit status: 0 done, 1 one of them has expired or cannot be read, 2 wrong use.
`;

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

function readDays(days: string): number {
  const number = Number(days);
  // Ten years: what is longer is refused by some clients, and never renewed by anybody.
  if (!Number.isInteger(number) || number < 1 || number > 3650) {
    throw new Error(`--days must be a whole number from 1 to 3650, not "${days}"`);
  }
  return number;
}

function readSpoke([name, ...others]: readonly string[]): string {
  if (name === undefined) throw new Error('the name of the cluster is missing, as in: certs spoke staging');
  if (others.length > 0) throw new Error(`one name at a time; what is "${others[0]}"?`);
  // It becomes a folder, a subject and a DNS name.
  if (!label.test(name))
    throw new Error(
      `${JSON.stringify(name)} is no name of a cluster here: 1 to 63 characters of a-z, 0-9 and "-", with no "-" at either end`,
    );
  return name;
}

interface Common {
  readonly dir: string;
  readonly days: string;
  readonly renew: boolean;
  readonly namespace?: string | undefined;
}

function issuing({ dir, days, renew, namespace }: Common, holder: Holder): Issuing {
  if (namespace !== undefined && !label.test(namespace))
    throw new Error(`--namespace ${JSON.stringify(namespace)} is no name of a namespace`);
  return { dir, renew, authorityDays, holder, days: readDays(days), now: Date.now() };
}

const dirOption = { dir: { type: 'string', default: defaultDir } } as const;
const issuingOptions = {
  ...dirOption,
  days: { type: 'string', default: String(defaultDays) },
  namespace: { type: 'string' },
  renew: { type: 'boolean', default: false },
} as const;

/** What to do, after all that can be wrong with how it was asked for. */
type Act = (io: CommandIo) => Promise<number>;

function hubFlags(args: string[]): Act {
  const options = { ...issuingOptions, name: { type: 'string', multiple: true } } as const;
  const { values } = parseArgs({ args, options });
  const { name = [], namespace } = values;
  const asked = issuing(values, { is: 'hub', names: readNames(name), namespace });
  return (io) => issue(asked, io);
}

function spokeFlags(args: string[]): Act {
  const { values, positionals } = parseArgs({ args, options: issuingOptions, allowPositionals: true });
  const holder: Holder = { is: 'spoke', name: readSpoke(positionals), namespace: values.namespace };
  const asked = issuing(values, holder);
  return (io) => issue(asked, io);
}

function listFlags(args: string[]): Act {
  const { dir } = parseArgs({ args, options: dirOption }).values;
  return (io) => list(dir, io, Date.now());
}

/** Without a subcommand. */
function noFlags(name: string): Act {
  throw new Error(
    `${name === '' ? 'a subcommand is missing' : `unknown subcommand "${name}"`}; it is one of hub, spoke and list (certs --help)`,
  );
}

const subcommands: Readonly<Record<string, { readonly help: string; read: (args: string[]) => Act }>> = {
  hub: { help: hubHelp, read: hubFlags },
  spoke: { help: spokeHelp, read: spokeFlags },
  list: { help: listHelp, read: listFlags },
};

/** `falco-federation certs`: see its help. */
export async function certs(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name = '', ...args] = argv;
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  return await withFlags(
    {
      name: subcommand === undefined ? 'certs' : `certs ${name}`,
      help: subcommand?.help ?? help,
      argv,
      readFlags: () => (subcommand === undefined ? noFlags(name) : subcommand.read(args)),
      run: (act) => act(io),
    },
    io,
  );
}
