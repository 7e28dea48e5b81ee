/**
 * The webhook for soak.ts: server, watchers and decisions of `serve`, but files are looked at every few milliseconds,
 * and each change that is in force is told to the parent.
 */
import { Server as TlsServer } from 'node:tls';
import { pino } from 'pino';
import { loadKeyPair, watchKeyPair } from '../../src/certificates/files.ts';
import { makeMetrics } from '../../src/server/metrics.ts';
import { buildWebhook } from '../../src/server/webhook.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { watchSettings } from '../../src/settings/watch.ts';

const [, , cert = '', key = '', settingsFile = ''] = process.argv;
const lookEvery = 5;

const loaded = await loadKeyPair({ cert, key });
const first = await loadSettings(settingsFile);
if (!loaded.ok || !first.ok) throw new Error('the files of the benchmark are not good');
const settings = watchSettings(settingsFile, first.settings, lookEvery, () => process.send?.('settings'));
const webhook = buildWebhook({
  sources: { settings: settings.current, namespaceAnnotations: () => undefined },
  tls: loaded.pair,
  logger: pino({ level: 'info' }, pino.destination('/dev/null')),
  isDraining: () => false,
  metrics: makeMetrics({
    version: 'soak',
    certificateNotAfter: () => loaded.pair.notAfter,
    settings: () => ({ ...settings.current(), valid: true }),
    namespaces: () => undefined,
    pods: () => undefined,
  }),
});
watchKeyPair({ cert, key }, loaded.pair, lookEvery, (result) => {
  // Between the two renames the files do not fit; the next look is in a moment.
  if (!result.ok || !(webhook.server instanceof TlsServer)) return;
  webhook.server.setSecureContext(result.pair);
  process.send?.('certificate');
});
const address = await webhook.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ port: Number(new URL(address).port) });
