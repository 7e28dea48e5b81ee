/**
 * The image that the Dockerfile builds on, under the name that its FROM says.
 *
 * With FEDERATION_BASE_IMAGE=pull it is the published one. Otherwise, as not every machine reaches an image registry,
 * a stand-in is made of the same parts: Debian, this very Node, and npm. The Dockerfile does not know the difference.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { must, run } from './machine.ts';
import { cache, root } from './places.ts';

const store = [
  '--root',
  join(cache, 'store'),
  '--runroot',
  join(cache, 'run'),
  // The one driver that needs nothing of the kernel.
  '--storage-driver',
  'vfs',
];

/** Runs buildah on the store of these checks; throws when it fails. */
export function buildah(...args: readonly string[]): string {
  return must('buildah', [...store, ...args]);
}

/** The base image's name in the Dockerfile, for example `node:26-bookworm-slim`. */
function baseImageName(): string {
  const name = /^ARG NODE_IMAGE=(\S+)$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8'))?.[1];
  if (name === undefined) throw new Error('Dockerfile: no line ARG NODE_IMAGE=…');
  return name;
}

/** The label that says which Node a stand-in was made of, so that a newer one replaces it. */
const label = 'falco-federation.io/stand-in';

/** Has the base image in the store; says in a few words where it came from. */
export function provideBaseImage(): string {
  const name = baseImageName();
  const [, major, debian] = /^node:(\d+)-(\w+)-slim$/.exec(name) ?? [];
  if (major === undefined || debian === undefined)
    throw new Error(`Dockerfile: no stand-in known for ${name}`);
  if (process.versions.node.split('.')[0] !== major) {
    throw new Error(`the Dockerfile builds on ${name}, but this is Node ${process.versions.node}`);
  }
  if (process.env.FEDERATION_BASE_IMAGE === 'pull') {
    buildah('pull', '--quiet', '--policy', 'always', name);
    return `${name}, pulled`;
  }
  const said = `${name}, a stand-in made of Debian ${debian}, Node ${process.versions.node} and npm`;
  if (standsInFor(name)) return `${said} (cached)`;
  makeStandIn(name, debian);
  return said;
}

function standsInFor(name: string): boolean {
  const { status, stdout } = run('buildah', [
    ...[...store, 'inspect', '--type', 'image'],
    ...['--format', `{{index .OCIv1.Config.Labels "${label}"}}`, name],
  ]);
  return status === 0 && stdout.trim() === process.versions.node;
}

function makeStandIn(name: string, debian: string): void {
  const folder = debianFolder(debian);
  const bin = join(folder, 'usr/local/bin');
  const modules = join(folder, 'usr/local/lib/node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(process.execPath, join(bin, 'node'), { dereference: true });
  cpSync(npmFolder(), join(modules, 'npm'), { recursive: true, dereference: true });
  rmSync(join(bin, 'npm'), { force: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'));
  const recipe = join(cache, 'stand-in.Dockerfile');
  writeFileSync(
    recipe,
    `FROM scratch
COPY . /
LABEL ${label}=${process.versions.node}
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["node"]
`,
  );
  buildah('bud', '--isolation', 'chroot', '--quiet', '--file', recipe, '--tag', name, folder);
  rmSync(folder, { recursive: true });
}

/** A fresh Debian, with the two libraries that Node needs beyond its smallest form. */
function debianFolder(debian: string): string {
  const folder = join(cache, `debian-${debian}`);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  const args = ['--variant=minbase', '--include=libstdc++6,libatomic1', debian, unfinished];
  // A minute or two, many more on a slow or busy disk; what is broken off begins anew.
  must('debootstrap', args, { timeout: 3_600_000 });
  for (const left of ['var/cache/apt', 'var/lib/apt/lists']) {
    rmSync(join(unfinished, left), { recursive: true, force: true });
    mkdirSync(join(unfinished, left), { recursive: true });
  }
  renameSync(unfinished, folder);
  return folder;
}

/** The npm that this machine has. */
function npmFolder(): string {
  const cli = process.env.npm_execpath ?? must('sh', ['-c', 'readlink -f "$(command -v npm)"']).trim();
  if (!cli.endsWith('/bin/npm-cli.js')) throw new Error(`${cli} is not npm: start this with npm run real`);
  return dirname(dirname(cli));
}
