import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeServingCertificate } from '../../certificates/self-signed.ts';
import { type CommandIo, done } from '../command.ts';

export interface Making {
  readonly dir: string;
  readonly names: readonly string[];
  readonly days: number;
  readonly force: boolean;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** Makes the three files and tells what to do with them. */
export async function make({ dir, names, days, force }: Making, io: CommandIo): Promise<number> {
  const ca = path.join(dir, 'ca.crt');
  const cert = path.join(dir, 'tls.crt');
  const key = path.join(dir, 'tls.key');
  const there: string[] = [];
  for (const file of [ca, cert, key]) if (await exists(file)) there.push(file);
  if (there.length > 0 && !force) {
    throw new Error(`${there.join(', ')} would be overwritten; --force does it, --dir makes them elsewhere`);
  }
  const made = await makeServingCertificate(names, days);
  await mkdir(dir, { recursive: true });
  // A file that is there keeps its mode when it is written to: the key must not inherit one that others can read.
  if (force) await rm(key, { force: true });
  const flag = force ? 'w' : 'wx';
  await writeFile(key, made.key, { mode: 0o600, flag });
  await writeFile(cert, made.certificate, { flag });
  await writeFile(ca, made.ca, { flag });
  io.stdout.write(`${[ca, cert, key].join('\n')}\n`);
  io.stderr.write(`
For ${names.join(', ')}, until ${made.notAfter.toISOString()}.

Serve with them:

  falco-federation serve --tls-cert ${cert} --tls-key ${key}

The API server trusts them by the caBundle of the MutatingWebhookConfiguration, which is ca.crt in base64:

  kubectl patch mutatingwebhookconfiguration falco-federation-webhook --type=json -p \\
    '[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "'"$(base64 < ${ca} | tr -d '\\n')"'"}]'

A request from this machine trusts them with curl --cacert ${ca}.
`);
  return done;
}
