/** A cluster's DNS for one name, and the resolv.conf by which kubelet sends a pod's questions there. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface ClusterDns {
  readonly resolvConf: string;
  /** Every name that was asked for, in order. */
  readonly asked: readonly string[];
  readonly close: () => void;
}

/** resolv.conf has no place for a port, so it is the usual one, on an address that others hardly take. */
const address = '127.53.0.1';
const domain = 'cluster.local';

/** Answers with 127.0.0.1 for a Service, written as `name.namespace`, and as CoreDNS does for all else: there is none. */
export async function clusterDns(service: string, podNamespace: string): Promise<ClusterDns> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    const name = nameIn(question);
    asked.push(name);
    socket.send(answer(question, name === `${service}.svc.${domain}`), from.port, from.address);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  return {
    asked,
    resolvConf: [
      `search ${podNamespace}.svc.${domain} svc.${domain} ${domain}`,
      ...[`nameserver ${address}`, 'options ndots:5', ''],
    ].join('\n'),
    close: () => socket.close(),
  };
}

/** RFC 1035: the name begins behind a head of 12 bytes, part by part, each behind its length. */
function nameIn(message: Buffer): string {
  const parts: string[] = [];
  for (let at = 12, length = message[at] ?? 0; length > 0; at += length + 1, length = message[at] ?? 0)
    parts.push(message.toString('latin1', at + 1, at + 1 + length));
  return parts.join('.');
}

function answer(question: Buffer, isThere: boolean): Buffer {
  const end = question.indexOf(0, 12) + 5;
  const isAboutV4 = question.readUInt16BE(end - 4) === 1;
  const head = Buffer.alloc(12);
  question.copy(head, 0, 0, 2);
  // A final answer; NXDOMAIN for a name that is not there, and no record where there is none of that kind.
  head.writeUInt16BE(isThere ? 0x8580 : 0x8583, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(isThere && isAboutV4 ? 1 : 0, 6);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
  return Buffer.concat([head, question.subarray(12, end), ...(isThere && isAboutV4 ? [record] : [])]);
}
