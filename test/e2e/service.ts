/**
 * What kube-proxy does between the API server and the replicas: it listens at a Service's cluster address and hands
 * new connections to ready endpoints in turn. Connections stay with their endpoint.
 */
import { connect, createServer, type Socket } from 'node:net';

export interface Endpoint {
  readonly name: string;
  readonly port: number;
}

export interface CutConnections {
  readonly all: number;
  /** Those whose last bytes went to the endpoint: a call that it had not answered. */
  readonly answering: number;
}

export interface Service {
  /** Endpoints for new connections from now on. */
  readonly route: (endpoints: readonly Endpoint[]) => void;
  /** Whether an endpoint that refuses is passed over for the next one; if not, the connection is reset. */
  readonly passOver: (whether: boolean) => void;
  /** Connections that an endpoint has ended before the API server did. */
  readonly cut: (name: string) => CutConnections;
  readonly close: () => void;
}

export async function startService(host: string, port: number): Promise<Service> {
  let endpoints: readonly Endpoint[] = [];
  let passOver = true;
  let turn = 0;
  const cut = new Map<string, CutConnections>();
  const sockets = new Set<Socket>();

  function cutBy(name: string): CutConnections {
    return cut.get(name) ?? { all: 0, answering: 0 };
  }

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  }

  /** Joins the two ends. */
  function join(client: Socket, candidates: readonly Endpoint[]): void {
    const [endpoint, ...others] = candidates;
    if (endpoint === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(endpoint.port, '127.0.0.1');
    keep(server);
    let open = false;
    // Whether the last bytes went to the endpoint.
    let waiting = false;
    server.once('connect', () => {
      open = true;
      client.on('data', () => {
        waiting = true;
      });
      server.on('data', () => {
        waiting = false;
      });
      client.pipe(server).pipe(client);
    });
    server.on('error', () => {
      if (!open) join(client, passOver ? others : []);
    });
    server.once('close', () => {
      if (!open) return;
      if (!client.destroyed) {
        const { all, answering } = cutBy(endpoint.name);
        cut.set(endpoint.name, { all: all + 1, answering: answering + (waiting ? 1 : 0) });
      }
      client.destroy();
    });
    client.once('close', () => server.destroy());
  }

  const listener = createServer({ pauseOnConnect: true, noDelay: true }, (client) => {
    keep(client);
    client.on('error', () => client.destroy());
    turn += 1;
    const first = endpoints.length === 0 ? 0 : turn % endpoints.length;
    join(client, [...endpoints.slice(first), ...endpoints.slice(0, first)]);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, host, resolve);
  });
  return {
    route: (next) => {
      endpoints = next;
    },
    passOver: (whether) => {
      passOver = whether;
    },
    cut: cutBy,
    close: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
