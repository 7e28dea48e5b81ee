/**
 * A hub for the bench: takes an event over TLS, and answers after some milliseconds. `GET /` tells how many it has taken.
 * Prints its port.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [, , certificate = '', key = '', delay = '0', port = '0'] = process.argv;
let events = 0;
const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key), keepAliveTimeout: 120_000 },
  (request, response) => {
    if (request.method === 'GET') {
      response.end(String(events));
      return;
    }
    request.resume();
    request.on('end', () => {
      events++;
      if (delay === '0') response.end();
      else setTimeout(() => response.end(), Number(delay));
    });
  },
);
server.listen(Number(port), 'localhost', () => {
  const address = server.address();
  console.log(`port ${typeof address === 'object' && address !== null ? address.port : 0}`);
});
