/** The hub's address, tried from here as a forwarder does: with the cluster's own credentials, in the protocol. */
import { credentialsIn } from '../events/credentials.ts';
import { type Exchange, httpClient } from '../events/http-client.ts';
import { hubCause } from './causes.ts';
import type { Check } from './check.ts';
import { error, type Line, ok } from './line.ts';
import { hubSecretName, receiverSecretName } from './names.ts';
import type { View } from './view.ts';

/** Milliseconds. */
const answerTime = 5_000;

/** What an empty batch comes to at a receiver, and at nobody else. */
function isReceivers(text: string): boolean {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null && Reflect.get(answer, 'accepted') === 0;
  } catch {
    return false;
  }
}

async function ask(view: View, address: string, data: ReadonlyMap<string, string>): Promise<Exchange> {
  const read = credentialsIn(data);
  if (!read.ok) return { is: 'failed', why: read.why };
  const checkCertificate = (await view.goodSettings())?.hub?.checkCertificate ?? true;
  const access = { address, checkCertificate, credentials: read.credentials, env: view.env };
  const client = httpClient(access, { answerTime, mostConnections: 1 });
  const headers = { 'content-type': 'application/x-ndjson' };
  const exchange = await client.send({ method: 'POST', body: Buffer.alloc(0), headers });
  client.abort();
  return exchange;
}

function problemOf(exchange: Exchange): string | undefined {
  if (exchange.is === 'failed') return exchange.why;
  const { status, text } = exchange;
  if (status === 200 && isReceivers(text)) return undefined;
  return `it answers ${status}${status < 400 ? ', and not as a receiver does' : `: ${text.trim().slice(0, 200)}`}`;
}

/**
 * A hub has no certificate that lets a client in: what it has is the authority, by which the receiver's own is verified
 * before that one asks for a certificate.
 */
function hubLine(text: string, exchange: Exchange): Line | undefined {
  return exchange.is === 'failed' && /alert certificate required/.test(exchange.why)
    ? ok('hub_address', `${text} has a certificate of the federation, and asks for one`)
    : undefined;
}

export const hubAddress: Check = {
  name: 'hub_address',
  title: "the hub's address",
  look: async (view) => {
    const address = view.hubAddress;
    if (address === undefined) return [];
    const namespace = await view.place();
    const isHub = (await view.goodSettings())?.role === 'hub';
    const name = isHub ? receiverSecretName : hubSecretName;
    const text = `the hub's address ${address}`;
    const secret = await view.secret(namespace, name);
    if (secret === undefined) {
      const make = isHub ? 'hub' : 'spoke';
      const why = `there is no Secret ${name} in namespace ${namespace} to try it with`;
      return [error('hub_address', text, why, `falco-federation certs ${make} --help`)];
    }
    const { data } = secret;
    const authority = new Map([...data].filter(([key]) => key === 'ca.crt'));
    const exchange = await ask(view, address, isHub ? authority : data);
    const line = isHub ? hubLine(text, exchange) : undefined;
    if (line !== undefined) return [line];
    const problem = problemOf(exchange);
    if (problem === undefined)
      return [ok('hub_address', `${text} leads to the receiver, which lets this cluster in`)];
    const { what, fix } = hubCause(problem);
    return [error('hub_address', text, `${what}: ${problem}`, fix({ hub: new URL(address), namespace }))];
  },
};
