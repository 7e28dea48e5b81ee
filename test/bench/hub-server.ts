/**
 * A hub for the bench: takes batches and single events over TLS, and answers after some milliseconds. `GET /` tells how many it has taken.
 * Prints its port.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { zstdDecompressSync } from 'node:zlib';
import { portOf } from '../port-of.ts';

const [, , certificate = '', key = '', delay = '0', port = '0'] = process.argv;
let events = 0;

/** @returns the answer: nothing to one event, as falcosidekick, and counts to a batch */
function taken(body: Buffer, isBatch: boolean): string {
  if (!isBatch && body.length > 0) {
    events++;
    return '';
  }
  const accepted = body.length === 0 ? 0 : zstdDecompressSync(body).toString().trimEnd().split('\n').length;
  events += accepted;
  return JSON.stringify({ accepted, duplicates: 0, refused: 0, later: 0, lines: [] });
}

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key), keepAliveTimeout: 120_000 },
  (request, response) => {
    if (request.method === 'GET') {
      response.end(String(events));
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const answer = taken(Buffer.concat(chunks), request.headers['content-encoding'] === 'zstd');
      if (delay === '0') response.end(answer);
      else setTimeout(() => response.end(answer), Number(delay));
    });
  },
);
server.listen(Number(port), 'localhost', () => {
  console.log(`port ${portOf(server)}`);
});
