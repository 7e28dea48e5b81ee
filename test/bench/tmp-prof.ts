import { body, startForwarder, startHub, untilDrained } from './forwarding.ts';
import { load } from './load.ts';
import { cpuSeconds, memory } from './processes.ts';
import { makePlace, imageEnvironment } from './webhook.ts';
if (process.env.MALLOC) Object.assign(imageEnvironment, { MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_TOP_PAD_: '0' });
const place = await makePlace();
const hub = await startHub(place, Number(process.env.DELAY ?? 0));
Object.assign(imageEnvironment, { NODE_OPTIONS: imageEnvironment.NODE_OPTIONS + (process.env.MORE ?? '') });
const f = await startForwarder(place, hub.address);
const show = async (when: string) => {
  const t = await (await fetch(`http://127.0.0.1:${f.metricsPort}/metrics`)).text();
  const g = (n: string) => Math.round(Number(new RegExp(`^${n} (\\S+)`, 'm').exec(t)?.[1]) / 2 ** 20 * 10) / 10;
  console.log(when, 'rss', Math.round(memory(f.pid, 'VmRSS') / 1024), 'heapUsed', g('nodejs_heap_size_used_bytes'), 'heapTotal', g('nodejs_heap_size_total_bytes'), 'ext', g('nodejs_external_memory_bytes'), [...t.matchAll(/nodejs_heap_space_size_total_bytes\{space="(\w+)"\} (\d+)/g)].filter((m) => Number(m[2]) > 2e6).map((m) => `${m[1]}=${(Number(m[2]) / 2 ** 20).toFixed(1)}`).join(' '));
};
await show('idle');
for (const senders of [64, 64]) {
  const cpu = cpuSeconds(f.pid);
  const r = await load({ port: f.port, ca: undefined, body, path: "/" }, senders, 3);
  await show(`load ${senders}`);
  await untilDrained(f);
  console.log(senders, 'rate', Math.round(r.perSecond), 'p99', Math.round(r.p99), 'cpu us', Math.round((cpuSeconds(f.pid) - cpu) / r.calls * 1e6));
}
await new Promise((r) => setTimeout(r, 3000));
await show('after');
process.kill(f.pid, 'SIGTERM');
await new Promise((r) => setTimeout(r, 10));
await f.stop(); await hub.stop(); place.remove();
