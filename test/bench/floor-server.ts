/** The floor: a bare `node:https` server that parses each body and answers what the file says. Prints its port. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { portOf } from '../port-of.ts';

const [, , certificate = '', key = '', answerFile = ''] = process.argv;
const answer = readFileSync(answerFile);
const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key), keepAliveTimeout: 120_000 },
  (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString());
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length });
      response.end(answer);
    });
  },
);
server.listen(0, '127.0.0.1', () => {
  console.log(`port ${portOf(server)}`);
});
