/** The floor of forwarding: hands each event on to the hub, keeps nothing, and answers as the hub does. Prints its port. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request as post } from 'node:https';
import { portOf } from '../port-of.ts';

const [, , hub = '', ca = ''] = process.argv;
const agent = new Agent({ keepAlive: true, maxSockets: 64, ca: readFileSync(ca) });
const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    JSON.parse(body.toString());
    const onward = post(
      hub,
      { agent, method: 'POST', headers: { 'content-length': body.length } },
      (answer) => {
        answer.resume();
        answer.on('end', () => response.writeHead(answer.statusCode ?? 502, { 'content-length': 0 }).end());
      },
    );
    onward.end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(`port ${portOf(server)}`);
});
