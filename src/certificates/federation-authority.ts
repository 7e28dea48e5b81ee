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
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../reasons/message-of.ts';
import { isExpired, namesOf } from './certificate.ts';
import { readKeyPair } from './files.ts';
import { federationAuthorityName, type Issued, makeAuthority, makeClient, makeServing } from './issue.ts';

const authorityFile = 'federation-ca';

/** Milliseconds. */
const day = 86_400_000;

/** Who a certificate is for, and the Secret that it becomes. */
export type Holder =
  | { readonly is: 'hub'; readonly names: readonly string[]; readonly namespace: string | undefined }
  | { readonly is: 'spoke'; readonly name: string; readonly namespace: string | undefined };

/** Of the Secrets, where none is asked for. */
export const defaultNamespace = 'falco-federation';

export interface Issuing {
  readonly dir: string;
  readonly holder: Holder;
  readonly days: number;
  readonly authorityDays: number;
  /** Makes a new certificate in the place of one that is there. */
  readonly renew: boolean;
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

/** Replaces a file: what was there may have another mode, or be somebody's link. */
async function put(file: string, text: string, mode: number): Promise<void> {
  await rm(file, { force: true });
  await writeFile(file, text, { mode, flag: 'wx' });
}

/** @throws Error that names the file */
async function readCertificate(file: string): Promise<X509Certificate> {
  try {
    return new X509Certificate(await readFile(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file} is not a certificate: ${messageOf(error)}`);
  }
}

/** @throws Error that names the file and the remedy where half of it is missing, or nothing can be issued with it */
async function readAuthority(dir: string, now: number): Promise<Issued | undefined> {
  const file = (ending: string): string => path.join(dir, `${authorityFile}.${ending}`);
  const [crt, key] = [file('crt'), file('key')];
  const there = await Promise.all([exists(crt), exists(key)]);
  if (!there[0] && !there[1]) return undefined;
  if (!there[0] || !there[1]) {
    throw new Error(
      `${there[0] ? key : crt} is missing: restore it from a backup, or choose another folder with --dir`,
    );
  }
  const certificate = await readCertificate(crt);
  if (isExpired(certificate, now))
    throw new Error(`${crt} has expired: create a new authority in another folder with --dir`);
  const authority = { certificate: await readFile(crt, 'utf8'), key: await readFile(key, 'utf8') };
  const problem = whyItCannotIssue(certificate, authority);
  if (problem !== undefined) throw new Error(`${crt}, ${key}: ${problem}; choose another folder with --dir`);
  return authority;
}

/** Files of somebody else's, or halves of two authorities: what is signed by them no hub would take. */
function whyItCannotIssue(certificate: X509Certificate, authority: Issued): string | undefined {
  const pair = readKeyPair(authority.certificate, authority.key);
  if (!pair.ok) return pair.why;
  if (!certificate.ca) return 'not a CA certificate';
  return certificate.publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    ? undefined
    : 'the key must be ECDSA P-256';
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
type Content = Readonly<Record<'tls.crt' | 'tls.key' | 'ca.crt', string>>;

function manifest({ is }: Holder, namespace: string, content: Content): string {
  const data = Object.entries(content).map(
    ([key, text]) => `  ${key}: ${Buffer.from(text).toString('base64')}\n`,
  );
  // Ingresses and Gateways look for the one type.
  const type = is === 'hub' ? 'kubernetes.io/tls' : 'Opaque';
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${secretNames[is]}
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
  const file = path.join(folder, 'tls.crt');
  if (!(await exists(file)))
    throw new Error('certs hub needs --name: the DNS name by which the spokes reach the hub');
  return namesOf(await readCertificate(file));
}

/** Namespace for the Secret: a renewed one stays where it is. */
async function namespaceFor({ namespace }: Holder, secret: string): Promise<string> {
  if (namespace !== undefined) return namespace;
  const text = await readFile(secret, 'utf8').catch(() => '');
  return /^ {2}namespace: "([^"]+)"$/m.exec(text)?.[1] ?? defaultNamespace;
}

/** @throws Error where files would be overwritten, or where there are none to renew */
async function checkFolder(folder: string, renew: boolean): Promise<void> {
  const there: string[] = [];
  for (const name of fileNames) if (await exists(path.join(folder, name))) there.push(name);
  if (there.length > 0 && !renew)
    throw new Error(`${folder}: ${there.join(', ')} already there; --renew replaces them`);
  if (there.length === 0 && renew)
    throw new Error(
      `${folder} has no certificate to renew; leave --renew out to issue one, or choose another folder with --dir`,
    );
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

/** The Secret that a forwarder mounts, and the one for the hub's receiver. */
const secretNames = { hub: 'falco-federation-hub-tls', spoke: 'falco-federation-hub' } as const;

/** All that may lie in a folder; keys are for their owner only, also as a Secret. */
const fileNames = ['tls.crt', 'tls.key', 'ca.crt', 'secret.yaml'] as const;
const secretModes: Readonly<Record<string, number>> = { 'tls.key': 0o600, 'secret.yaml': 0o600 };

/**
 * Issues a certificate, and makes the authority where there is none yet.
 *
 * @throws Error that names the file and the remedy, above all where something would be overwritten
 */
export async function issueFor(issuing: Issuing): Promise<IssuedFiles> {
  const { dir, holder, renew, now } = issuing;
  const folder = folderOf(dir, holder);
  const secret = path.join(folder, 'secret.yaml');
  await checkFolder(folder, renew);
  const known = await readAuthority(dir, now);
  const names = await namesFor(holder, folder);
  const namespace = await namespaceFor(holder, secret);
  const authority = known ?? (await makeNewAuthority(issuing));
  const leaf = await leafFor(issuing, authority, names);
  const content: Content = {
    ...{ 'tls.crt': leaf.certificate, 'tls.key': leaf.key },
    'ca.crt': authority.certificate,
  };
  const files = { ...content, 'secret.yaml': manifest(holder, namespace, content) };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of fileNames) await put(path.join(folder, name), files[name], secretModes[name] ?? 0o644);
  return {
    folder,
    secret,
    secretName: secretNames[holder.is],
    notAfter: new X509Certificate(leaf.certificate).validToDate,
    isNewAuthority: known === undefined,
  };
}

/** A certificate of a federation, as `certs list` shows it; or why it cannot be read. */
export type ListedCertificate = { readonly holder: string } & (
  | { readonly names: readonly string[]; readonly notAfter: Date }
  | { readonly problem: string }
);

async function listed(holder: string, file: string): Promise<ListedCertificate[]> {
  if (!(await exists(file))) return [];
  try {
    const certificate = await readCertificate(file);
    return [{ holder, names: namesOf(certificate), notAfter: certificate.validToDate }];
  } catch (error) {
    return [{ holder, problem: messageOf(error) }];
  }
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
