/** The webhook under measurement: the built program by the launcher, as in the image. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { type Started, start } from './processes.ts';

export const root = resolve(import.meta.dirname, '../..');

/** The image's entry point, but for where Node and the program are. */
export const launcher = join(root, '.cache/bench/falco-federation');

/** Builds both, the program into an empty folder. */
export function build(): void {
  const dist = join(root, 'dist');
  rmSync(dist, { recursive: true, force: true });
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  const paths = { NODE: process.execPath, PROGRAM: join(dist, 'falco-federation.mjs') };
  const defined = Object.entries(paths).map(([name, path]) => `-D${name}=${JSON.stringify(path)}`);
  execFileSync('sh', [join(root, 'src/launcher/build.sh'), launcher, ...defined], { stdio: 'inherit' });
}

export interface Place {
  readonly folder: string;
  readonly certificate: string;
  readonly key: string;
  readonly settings: string;
  readonly ca: string;
  readonly remove: () => void;
}

/** A folder with a certificate for localhost and settings of a spoke. */
export async function makePlace(): Promise<Place> {
  const folder = temporaryFolder('bench-');
  const at = (name: string): string => join(folder, name);
  const { certificate, key, ca } = await makeServingCertificate(['localhost'], 30 * 86_400_000);
  writeFileSync(at('tls.crt'), certificate);
  writeFileSync(at('tls.key'), key, { mode: 0o600 });
  mkdirSync(at('settings'));
  writeFileSync(
    at('settings/federation.yaml'),
    'cluster: staging\nrole: spoke\nhub: { address: "https://falcosidekick.example.org" }\n',
  );
  return {
    ...{
      folder,
      ca,
      certificate: at('tls.crt'),
      key: at('tls.key'),
      settings: at('settings/federation.yaml'),
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** For a user whose token is `token`. */
export function writeKubeconfig(file: string, server: string, ca: string): void {
  const config = {
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server, 'certificate-authority-data': btoa(ca) } }],
    users: [{ name: 'bench', user: { token: 'token' } }],
  };
  writeFileSync(file, JSON.stringify(config));
}

export interface Serving extends Started {
  readonly port: number;
  readonly healthPort: number;
  readonly metricsPort: number;
}

/** Starts `serve` with the place's files. Resolves when it listens. */
export async function serve(
  { certificate, key, settings }: Place,
  { flags = ['--tls-cert', certificate, '--tls-key', key], env = {} } = {},
): Promise<Serving> {
  const { match, ...started } = await start(
    [
      ...[launcher, 'serve', '--settings', settings, '--host', '127.0.0.1'],
      ...['--port', '0', '--health-port', '0', '--metrics-port', '0', ...flags],
    ],
    /"port":(\d+),"healthPort":(\d+),"metricsPort":(\d+)/,
    env,
  );
  const [, port, healthPort, metricsPort] = match.map(Number);
  return { ...started, port: port ?? 0, healthPort: healthPort ?? 0, metricsPort: metricsPort ?? 0 };
}
