/**
 * A federation's own authority, as files on the workstation of whoever runs it:
 *
 *     federation-ca.crt, federation-ca.key     the authority; its key, of mode 0600, never leaves this folder
 *     hub/                                     the hub's server certificate
 *     spokes/NAME/                             a spoke's client certificate
 *
 * Each of the folders has tls.crt, tls.key, ca.crt and secret.yaml, the same as a Secret for kubectl apply.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { namesOf } from './certificate.ts';
import { federationAuthorityName, type Issued, makeAuthority, makeClient, makeServing } from './issue.ts';

const authorityFile = 'federation-ca';

/** Milliseconds. */
const day = 86_400_000;

/** Who a certificate is for, and the Secret that it becomes. */
export type Holder =
  | { readonly is: 'hub'; readonly names: readonly string[]; readonly namespace: string }
  | { readonly is: 'spoke'; readonly name: string; readonly namespace: string };

export interface Issuing {
  readonly dir: string;
  readonly holder: Holder;
  readonly days: number;
  readonly authorityDays: number;
  /** Makes a new certificate in the place of one that is there. */
  readonly renew: boolean;
  /** Only the authority, for a hub that asks for no client certificates. */
  readonly authorityOnly: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface IssuedFiles {
  readonly folder: string;
  /** The manifest, for `kubectl apply -f`. */
  readonly secret: string;
  /** Name of the Secret. */
  readonly secretName: string;
  readonly notAfter: Date;
  /** Whether the authority was made now. */
  readonly isNewAuthority: boolean;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** Replaces a file whole: a reader sees the old text or the new one. */
async function put(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.new`;
  await writeFile(draft, text, { mode });
  // A draft that was left there keeps its mode when it is written to.
  await chmod(draft, mode);
  await rename(draft, file);
}

/** @throws Error that names the file and the remedy where half of it is missing, or it has expired */
async function readAuthority(dir: string, now: number): Promise<Issued | undefined> {
  const [crt, key] = [`${authorityFile}.crt`, `${authorityFile}.key`].map((name) => path.join(dir, name));
  if (crt === undefined || key === undefined) return undefined;
  const there = await Promise.all([exists(crt), exists(key)]);
  if (!there[0] && !there[1]) return undefined;
  if (!there[0] || !there[1]) {
    throw new Error(
      `${there[0] ? key : crt} is missing: put the other half of the authority back, or choose another folder with --dir`,
    );
  }
  const authority = { certificate: await readFile(crt, 'utf8'), key: await readFile(key, 'utf8') };
  if (new X509Certificate(authority.certificate).validToDate.getTime() <= now)
    throw new Error(`${crt} has expired: begin a new authority in another folder with --dir`);
  return authority;
}

async function makeNewAuthority({ dir, authorityDays, now }: Issuing): Promise<Issued> {
  const authority = await makeAuthority(now, authorityDays * day, federationAuthorityName);
  await mkdir(dir, { recursive: true });
  await put(path.join(dir, `${authorityFile}.key`), authority.key, 0o600);
  await put(path.join(dir, `${authorityFile}.crt`), authority.certificate, 0o644);
  return authority;
}

export function folderOf(dir: string, holder: Holder): string {
  return holder.is === 'hub' ? path.join(dir, 'hub') : path.join(dir, 'spokes', holder.name);
}

/** What is put into the Secret and beside it. */
type Content = Readonly<Partial<Record<'tls.crt' | 'tls.key' | 'ca.crt', string>>>;

function manifest(name: string, namespace: string, content: Content): string {
  const data = Object.entries(content).map(
    ([key, text]) => `  ${key}: ${Buffer.from(text).toString('base64')}\n`,
  );
  const type = content['tls.crt'] === undefined ? 'Opaque' : 'kubernetes.io/tls';
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${name}
  namespace: ${JSON.stringify(namespace)}
type: ${type}
data:
${data.join('')}`;
}

/**
 * Names for the certificate: a renewed one has those of the one that is there.
 *
 * @throws Error where the hub has none
 */
async function namesFor(holder: Holder, folder: string): Promise<readonly string[]> {
  if (holder.is === 'spoke') return [holder.name];
  if (holder.names.length > 0) return holder.names;
  const pem = await readFile(path.join(folder, 'tls.crt'), 'utf8').catch(() => undefined);
  if (pem === undefined)
    throw new Error('certs hub needs --name: the DNS name by which the spokes reach the hub');
  return namesOf(new X509Certificate(pem));
}

function leafFor(
  { holder, now, days }: Issuing,
  authority: Issued,
  names: readonly string[],
): Promise<Issued> {
  return holder.is === 'spoke'
    ? makeClient(authority, holder.name, now, days * day)
    : makeServing(authority, names, now, days * day);
}

/** The Secret that a forwarder mounts, and the one for the hub's ingress. */
function secretNameOf(holder: Holder): string {
  return holder.is === 'hub' ? 'falco-federation-hub-tls' : 'falco-federation-hub';
}

/**
 * Issues a certificate, and makes the authority where there is none yet.
 *
 * @throws Error that names the file and the remedy, above all where something would be overwritten
 */
export async function issueFor(issuing: Issuing): Promise<IssuedFiles> {
  const { dir, holder, renew, authorityOnly, now } = issuing;
  const folder = folderOf(dir, holder);
  if (!renew && (await exists(path.join(folder, 'secret.yaml'))))
    throw new Error(`${folder} would be overwritten; --renew makes a new certificate there`);
  const known = await readAuthority(dir, now);
  const names = await namesFor(holder, folder);
  const authority = known ?? (await makeNewAuthority(issuing));
  const leaf = authorityOnly ? undefined : await leafFor(issuing, authority, names);
  const content: Content = {
    ...(leaf === undefined ? {} : { 'tls.crt': leaf.certificate, 'tls.key': leaf.key }),
    'ca.crt': authority.certificate,
  };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries(content))
    await put(path.join(folder, name), text, name.endsWith('.key') ? 0o600 : 0o644);
  const secret = path.join(folder, 'secret.yaml');
  await put(secret, manifest(secretNameOf(holder), holder.namespace, content), 0o600);
  return {
    folder,
    secret,
    secretName: secretNameOf(holder),
    notAfter: new X509Certificate(leaf?.certificate ?? authority.certificate).validToDate,
    isNewAuthority: known === undefined,
  };
}

/** A certificate of a federation, as `certs list` shows it. */
export interface ListedCertificate {
  readonly holder: string;
  readonly names: readonly string[];
  readonly file: string;
  readonly notAfter: Date;
}

async function listed(holder: string, file: string): Promise<ListedCertificate[]> {
  const pem = await readFile(file, 'utf8').catch(() => undefined);
  if (pem === undefined) return [];
  const certificate = new X509Certificate(pem);
  return [{ holder, names: namesOf(certificate), file, notAfter: certificate.validToDate }];
}

/** All certificates of the federation in a folder: its authority, the hub, the spokes by name. */
export async function listFederation(dir: string): Promise<readonly ListedCertificate[]> {
  const spokes = await readdir(path.join(dir, 'spokes')).catch(() => []);
  const all = await Promise.all([
    listed('authority', path.join(dir, `${authorityFile}.crt`)),
    listed('hub', path.join(dir, 'hub', 'tls.crt')),
    ...spokes.toSorted().map((name) => listed(`spoke ${name}`, path.join(dir, 'spokes', name, 'tls.crt'))),
  ]);
  return all.flat();
}
