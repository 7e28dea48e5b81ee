/** Which proxy leads to an address, by HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go programs read them. */
import { BlockList, isIP } from 'node:net';

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
}

function isWithin(network: string, host: string): boolean {
  const [address = '', bits] = network.split('/');
  const [family, of] = [isIP(address), isIP(host)];
  if (family === 0 || family !== of) return false;
  if (bits === undefined) return address === host;
  const prefix = Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(address, prefix, type);
  return list.check(host, type);
}

/** One word of NO_PROXY: `*`, an address, a network, `.domain` (what is below it) or `domain` (it too), with a port or without. */
function leavesOut(word: string, url: URL): boolean {
  if (word === '*') return true;
  const host = hostOf(url);
  if (isWithin(word, host)) return true;
  const [, name = word, port] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(word) ?? [];
  if (port !== undefined && port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false;
  if (isIP(host) !== 0) return isWithin(name, host);
  const domain = name.replace(/^\*\./, '.');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

/** @returns the proxy's address; undefined where there is none */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): string | undefined {
  const named = (name: string): string => env[name] || env[name.toLowerCase()] || '';
  const proxy = named(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  const host = hostOf(url);
  if (proxy === '' || host === 'localhost' || host === '::1' || isWithin('127.0.0.0/8', host))
    return undefined;
  const words = named('NO_PROXY').toLowerCase().split(',');
  if (words.some((word) => word.trim() !== '' && leavesOut(word.trim(), url))) return undefined;
  return /^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}
