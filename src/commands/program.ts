import { version } from '../federation/names.ts';
import { type CommandIo, couldNot, done, wrongUse } from './command.ts';

type Command = (argv: readonly string[], io: CommandIo) => Promise<number>;

/** Each command is loaded only when it is called: tag-rules runs on every node and must start fast. */
const commands: Readonly<Record<string, { readonly what: string; readonly load: () => Promise<Command> }>> = {
  serve: {
    what: 'serve the admission webhook',
    load: async () => (await import('./serve.ts')).serve,
  },
  inject: {
    what: 'inject Kubernetes YAML or JSON on the command line',
    load: async () => (await import('./inject.ts')).inject,
  },
  forward: {
    what: "store a spoke's events and deliver them to the hub",
    load: async () => (await import('./forward.ts')).forward,
  },
  receive: {
    what: "take spokes' events at the hub and pass them on to falcosidekick",
    load: async () => (await import('./receive.ts')).receive,
  },
  check: {
    what: 'check whether this cluster is federated, and how to fix it',
    load: async () => (await import('./check.ts')).check,
  },
  fleet: {
    what: "show the hub's view of its spokes: who reports, what waits, versions, federated pods",
    load: async () => (await import('./fleet.ts')).fleet,
  },
  'tag-rules': {
    what: "tag Falco's rules (run by the injected containers)",
    load: async () => (await import('./tag-rules.ts')).tagRules,
  },
  certs: {
    what: "the federation's own authority, and the certificates that it issues",
    load: async () => (await import('./certs.ts')).certs,
  },
};

const help = `Usage: falco-federation COMMAND [FLAGS]

${Object.entries(commands)
  .map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`)
  .join('\n')}

Each command has --help. falco-federation --version prints ${version}.
`;

/** Programs that run in clusters are for the image's Node; what people run is for whatever Node is supported. */
const forServers = new Set(['serve', 'forward', 'receive']);
const oldestNode = (name: string): number => (forServers.has(name) ? 26 : 22);

const major = (release: string): number => Number.parseInt(release, 10);

/** `falco-federation COMMAND …`. @returns the exit status */
export async function runProgram(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === '--help' || name === '-h' || name === 'help') {
    io.stdout.write(help);
    return done;
  }
  if (name === '--version') {
    io.stdout.write(`${version}\n`);
    return done;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const { unknown } = await import('./unknown.ts');
    const told = `falco-federation: ${unknown('subcommand', name, Object.keys(commands))}\nSee falco-federation --help.\n`;
    io.stderr.write(name === '' ? help : told);
    return wrongUse;
  }
  const oldest = oldestNode(name);
  if (major(process.versions.node) < oldest) {
    io.stderr.write(
      `falco-federation ${name} requires Node ${oldest} or later; this is ${process.versions.node}\n`,
    );
    return couldNot;
  }
  try {
    return await (await command.load())(rest, io);
  } catch (error) {
    io.stderr.write(`falco-federation ${name}: ${error instanceof Error ? error.stack : String(error)}\n`);
    return couldNot;
  }
}
