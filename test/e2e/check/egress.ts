/**
 * The way from the API server to pods and Services, as konnectivity is one: it asks here for an address, and gets the
 * program on this machine that stands for it. So pods may have addresses of their own, and ways can be cut.
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '../../temporary-folder.ts';

/** Where an address leads: to a port here, whose answers come some milliseconds late; into silence, or to nobody. */
export type Way =
  | { readonly to: 'port'; readonly port: number; readonly after?: number }
  | { readonly to: 'silence' }
  | { readonly to: 'nobody' };

export interface Egress {
  /** Flag of kube-apiserver. */
  readonly flag: string;
  /** @param wayTo called with `host:port` */
  readonly lead: (wayTo: (address: string) => Way) => void;
  readonly close: () => void;
}

export async function startEgress(folder: string): Promise<Egress> {
  let wayTo = (_address: string): Way => ({ to: 'nobody' });
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  };

  function joined(client: Socket, port: number, after: number): void {
    const server = connect(port, '127.0.0.1');
    keep(server);
    server.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(server);
      if (after === 0) server.pipe(client);
      else server.on('data', (chunk) => setTimeout(() => client.write(chunk), after));
    });
    server.once('error', () => client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
    server.once('close', () => client.destroy());
    client.once('close', () => server.destroy());
  }

  const proxy = createServer();
  proxy.on('connect', ({ url = '' }, client: Socket) => {
    keep(client);
    const way = wayTo(url);
    if (way.to === 'nobody') client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    else if (way.to === 'port') joined(client, way.port, way.after ?? 0);
  });
  // The folder of the run may be too deep for the address of a socket.
  const socket = join(temporaryFolder('egress-'), 'socket');
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject);
    proxy.listen(socket, resolve);
  });
  const file = join(folder, 'egress.json');
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'apiserver.k8s.io/v1beta1',
      kind: 'EgressSelectorConfiguration',
      egressSelections: [
        {
          name: 'cluster',
          connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: socket } } },
        },
      ],
    }),
  );
  return {
    flag: `--egress-selector-config-file=${file}`,
    lead: (next) => {
      wayTo = next;
      // The API server keeps connections for the next call.
      for (const one of sockets) one.destroy();
    },
    close: () => {
      proxy.close();
      for (const one of sockets) one.destroy();
    },
  };
}
