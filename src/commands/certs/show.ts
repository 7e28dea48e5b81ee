import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { certificatesIn, isIssuedBy, isSame } from '../../certificates/certificate.ts';
import { type CertificateDescription, describeCertificates } from '../../certificates/describe.ts';
import { messageOf } from '../../reasons/message-of.ts';
import { type CommandIo, couldNot, done } from '../command.ts';

/** Where `certs make` puts its files, and `certs show` looks for some. */
export const defaultDir = 'certs';

interface Showing {
  readonly files: readonly string[];
  /** text or json */
  readonly output?: string | undefined;
}

interface Shown extends CertificateDescription {
  readonly file: string;
  /** Whether by the ca.crt beside the file; null: there is none. */
  readonly verified: boolean | null;
}

interface Unreadable {
  readonly file: string;
  readonly problem: string;
}

async function look(file: string, now: number): Promise<readonly (Shown | Unreadable)[]> {
  try {
    const pem = await readFile(file, 'utf8');
    const described = describeCertificates(pem, now);
    const authorities = await readFile(besides(file), 'utf8').then(certificatesIn, () => undefined);
    return certificatesIn(pem).flatMap((certificate, at) => {
      const one = described[at];
      const verified =
        authorities === undefined
          ? null
          : authorities.some((other) => isSame(other, certificate) || isIssuedBy(certificate, other));
      return one === undefined ? [] : [{ file, ...one, verified }];
    });
  } catch (error) {
    return [{ file, problem: messageOf(error) }];
  }
}

function besides(file: string): string {
  return path.join(path.dirname(file), 'ca.crt');
}

function asText({ file, ...shown }: Shown): string {
  const { subject, names, issuer, notBefore, notAfter, state, daysLeft, fingerprint, verified } = shown;
  const life = state === 'valid' ? `${daysLeft} days left` : state.toUpperCase();
  const rows = [
    ['subject', `${subject}${shown.isAuthority ? ' (an authority)' : ''}`],
    ...(names.length === 0 ? [] : [['names', names.join(', ')]]),
    ['issuer', issuer],
    ['valid', `${notBefore} to ${notAfter}, ${life}`],
    ['fingerprint', fingerprint],
    ['verified', verified === null ? 'no ca.crt beside it' : `${verified ? '' : 'NOT '}by ${besides(file)}`],
  ];
  return `${file}\n${rows.map(([key = '', value]) => `  ${key.padEnd(12)} ${value}\n`).join('')}`;
}

async function ownFiles(): Promise<readonly string[]> {
  const names = await readdir(defaultDir).catch(() => []);
  const found = names.filter((name) => name.endsWith('.crt')).sort();
  if (found.length === 0)
    throw new Error(`there is no ${defaultDir}/*.crt; name files, or make them with certs make`);
  return found.map((name) => path.join(defaultDir, name));
}

/** Shows the certificates of the files, or of all in the usual folder. */
export async function show({ files, output = 'text' }: Showing, io: CommandIo): Promise<number> {
  const found: (Shown | Unreadable)[] = [];
  for (const file of files.length > 0 ? files : await ownFiles())
    found.push(...(await look(file, Date.now())));
  const good = found.filter((one): one is Shown => !('problem' in one));
  if (output === 'json') io.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else io.stdout.write(good.map(asText).join('\n'));
  for (const one of found) {
    if ('problem' in one) io.stderr.write(`falco-federation certs: ${one.file}: ${one.problem}\n`);
  }
  return good.length < found.length || good.some(({ state }) => state === 'expired') ? couldNot : done;
}
