import { type Issuing, issueFor, listFederation } from '../../certificates/federation-authority.ts';
import { type CommandIo, couldNot, done } from '../command.ts';

function nextSteps({ holder }: Issuing, secret: string, secretName: string): string {
  if (holder.is === 'hub') {
    return `On the hub's cluster:

  kubectl apply -f ${secret}

It is Secret ${secretName}, for the receiver: its certificate, and ca.crt to ask spokes for
theirs (docs/hub.md).
`;
  }
  return `On the cluster of ${holder.name}:

  kubectl apply -f ${secret}

It is Secret ${secretName}, which the forwarder takes its client certificate and the authority from; no restart is
needed.
`;
}

/** Issues the certificate and tells what to do with it. */
export async function issue(issuing: Issuing, io: CommandIo): Promise<number> {
  const { folder, secret, secretName, notAfter, isNewAuthority } = await issueFor(issuing);
  io.stdout.write(`${secret}\n`);
  const authority = isNewAuthority
    ? `${issuing.dir}/federation-ca.key is new. Whoever has this key can let any spoke in: keep it safe.\n\n`
    : '';
  io.stderr.write(
    `\n${authority}${folder} is valid until ${notAfter.toISOString()}.\n\n${nextSteps(issuing, secret, secretName)}`,
  );
  return done;
}

/** Prints a line for each certificate. @returns 1 where one has expired or cannot be read */
export async function list(dir: string, io: CommandIo, now: number): Promise<number> {
  const all = await listFederation(dir);
  if (all.length === 0)
    throw new Error(
      `no certificates in ${dir}; certs hub and certs spoke make some, --dir names another folder`,
    );
  let status = done;
  const rows: string[][] = [];
  for (const one of all) {
    if ('problem' in one) {
      io.stderr.write(`falco-federation certs list: ${one.problem}\n`);
      status = couldNot;
      continue;
    }
    const left = one.notAfter.getTime() - now;
    if (left <= 0) status = couldNot;
    const life = left <= 0 ? 'EXPIRED' : `${Math.floor(left / 86_400_000)} days`;
    rows.push([one.holder, one.notAfter.toISOString().slice(0, 10), life, one.names.join(', ')]);
  }
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, at) => cell.padEnd(widths[at] ?? 0));
    io.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
  return status;
}
