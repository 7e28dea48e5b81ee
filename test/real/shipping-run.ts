/**
 * A spoke's alerts on their way: the pod's ship-alerts container, with what stands for Falco in Falco's own, and a real
 * forwarder and a hub on this machine.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { makePlace, type PlainHub, plainHub, startForwarder } from '../forwarding/forwarder-process.ts';
import type { BuiltImage } from './built-image.ts';
import { clusterDns } from './cluster-dns.ts';
import { runContainer, whileRunning } from './container.ts';
import { freePorts } from './free-ports.ts';
import { containerOf, injected, type RecordedPod } from './recorded-pods.ts';
import { type Node, onNode, succeed, tagRulesName } from './tagging-run.ts';
import { until } from './until.ts';

export const shipAlertsName = 'falco-federation-ship-alerts';
/** The forwarder's Service, as a pod in another namespace calls it. */
const service = 'falco-federation-forwarder.falco-federation';

/** A pod on its node, the forwarder that its alerts go to, and the hub behind that. */
export interface Shipping {
  readonly node: Node;
  readonly hub: PlainHub;
  /** The file that Falco is told to write, on this machine. */
  readonly file: string;
  /** Starts the forwarder, at the address that the pod knows and with the spool that it had. */
  readonly startForwarder: () => ReturnType<typeof startForwarder>;
}

/** Has all that, with the pod's rules tagged: Falco would start next. */
export async function whileShipping(
  image: BuiltImage,
  recorded: RecordedPod,
  use: (shipping: Shipping) => Promise<void>,
): Promise<void> {
  const hub = await plainHub();
  const [port = 0] = await freePorts(1);
  const place = makePlace(
    `cluster: staging\nhub: { address: "${hub.address}" }\nforwarder: { address: 'http://${service}:${port}' }\n`,
  );
  try {
    await onNode(image, recorded, injected(recorded, place.settings).pod, async (node) => {
      succeed(await runContainer(node, containerOf(node.pod, tagRulesName)));
      await use({
        ...{ node, hub, file: fileThatFalcoWrites(node) },
        startForwarder: () => startForwarder(place, { flags: ['--port', String(port)] }),
      });
    });
  } finally {
    await hub.close();
    rmSync(place.folder, { recursive: true });
  }
}

/** What the drop-in tells Falco. */
function fileThatFalcoWrites({ output, falco }: Node): string {
  const dropIn: unknown = parse(readFileSync(join(output, 'federation.yaml'), 'utf8'));
  assert.ok(
    dropIn !== null && typeof dropIn === 'object' && 'file_output' in dropIn && 'json_output' in dropIn,
  );
  assert.equal(dropIn.json_output, true);
  // Safe: what is not there fails in the next lines.
  const { filename, ...how } = dropIn.file_output as { filename: string };
  assert.deepEqual(how, { enabled: true, keep_alive: false });
  return falco.locate(filename) ?? assert.fail(`${filename} is in no volume of Falco's`);
}

/** An alert every few milliseconds, each by opening, one write and closing (FACTS 1.21), until SIGTERM. */
const standIn = `
  const { appendFileSync } = require('node:fs');
  const [, file, name] = process.argv;
  let count = 0;
  const writing = setInterval(() => {
    const alert = { hostname: 'node', output: 'a test', output_fields: { name: name + count }, priority: 'Notice',
      rule: 'Test', source: 'syscall', tags: ['staging'], time: '2026-01-31T12:00:00.500000000Z' };
    appendFileSync(file, JSON.stringify(alert) + '\\n');
    count += 1;
  }, 4);
  process.on('SIGTERM', () => {
    clearInterval(writing);
    console.log(count);
  });`;

/**
 * Falco's container with a program that writes alerts in Falco's place and under Falco's user, root, while `use` runs.
 *
 * @returns how many it wrote
 */
async function whileFalcoWrites(
  { node, file }: Shipping,
  name: string,
  use: () => Promise<void>,
): Promise<number> {
  const falco = containerOf(node.pod, 'falco');
  const mount = falco.volumeMounts?.find(({ name: volume }) =>
    file.startsWith(`${node.volumes.get(volume)}/`),
  );
  const seen = `${mount?.mountPath}${file.slice(node.volumes.get(mount?.name ?? '')?.length)}`;
  const container = { ...falco, command: ['/usr/bin/node'], args: ['-e', standIn, seen, name] };
  const image = { ...node.image, config: { ...node.image.config, User: '0:0' } };
  const { status, stdout, stderr } = await whileRunning({ ...node, image }, container, async ({ stop }) => {
    await use();
    stop();
  });
  assert.equal(status, 0, stderr);
  return Number(stdout);
}

/** Waits until the hub has so many more events than now. */
async function more(hub: PlainHub, count: number): Promise<void> {
  await hub.has(hub.received.size + count);
}

/**
 * Ships while the forwarder restarts, with its name from a cluster's DNS. Throws unless every alert comes to the hub,
 * the container is as the pod has it, and it stops by itself.
 */
export async function shipOverARestart(shipping: Shipping): Promise<void> {
  const { node, hub, file } = shipping;
  const dns = await clusterDns(service, 'falco');
  let forwarder = await shipping.startForwarder();
  try {
    const ended = await whileRunning(
      { ...node, names: { resolvConf: dns.resolvConf } },
      containerOf(node.pod, shipAlertsName),
      async ({ pid, stop }) => {
        await until('a file for Falco', () => existsSync(file), true);
        const written = await whileFalcoWrites(shipping, 'restart-', async () => {
          await more(hub, 50);
          await forwarder.stop();
          // Some of it is written while nobody takes it.
          const size = statSync(file).size;
          await until('Falco writes on', () => statSync(file).size > size + 20_000, true);
          forwarder = await shipping.startForwarder();
          await more(hub, 50);
        });
        await hub.has(written);
        // What was on its way when the forwarder ended may come again, which a receiver sees by its key.
        assert.equal(hub.received.size, written);
        assertConfined(pid());
        stop();
      },
    );
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, /the forwarder takes alerts again/);
    assert.doesNotMatch(ended.stderr, /not delivered/);
    assert.ok(
      dns.asked.includes(`${service}.falco.svc.cluster.local`),
      'names are searched as resolv.conf says',
    );
    // The file stays, and gives back the room of what was passed.
    const { blocks, bfree, bsize } = statfsSync(dirname(file));
    assert.ok(
      (blocks - bfree) * bsize <= 64 * 1024,
      `${(blocks - bfree) * bsize} bytes are left in the volume`,
    );
    assert.equal(blocks * bsize, 16 * 1024 * 1024, 'the volume is as large as the settings say');
  } finally {
    await forwarder.stop('SIGKILL');
    dns.close();
  }
}

/**
 * Ships what Falco wrote where our container was not there first, so that the file is root's, with the forwarder's name
 * from /etc/hosts. Throws unless every alert comes to the hub once.
 */
export async function shipFileOfFalco(shipping: Shipping): Promise<void> {
  const { node, hub, file } = shipping;
  // As our container has made it, before somebody took the file away.
  mkdirSync(dirname(file));
  chmodSync(dirname(file), 0o777);
  const before = await whileFalcoWrites(shipping, 'before-', () =>
    until('Falco has a file', () => statSync(file).size > 10_000, true),
  );
  assert.equal(statSync(file).uid, 0);
  const forwarder = await shipping.startForwarder();
  try {
    const ended = await whileRunning(
      { ...node, names: { hosts: `127.0.0.1 ${service}\n` } },
      containerOf(node.pod, shipAlertsName),
      async ({ stop }) => {
        const beside = await whileFalcoWrites(shipping, 'beside-', () => more(hub, before + 50));
        await hub.has(before + beside);
        assertEachOnce(hub, before + beside);
        stop();
      },
    );
    assert.equal(ended.status, 0, ended.stderr);
    assert.doesNotMatch(ended.stderr, /not delivered/);
    assert.equal(statSync(file).uid, 65532, 'the file is one of ours now');
  } finally {
    await forwarder.stop('SIGKILL');
  }
}

function assertEachOnce({ received }: PlainHub, count: number): void {
  assert.equal(received.size, count);
  assert.deepEqual(
    [...received].filter(([, times]) => times !== 1),
    [],
  );
}

/** Under its own user, without a capability, and small: what the pod's limits are for. */
function assertConfined(pid: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  assert.match(status, /^Uid:\t65532\t65532\t65532\t65532$/m);
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^CapBnd:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const resident = Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]);
  console.log(`ship-alerts: ${resident} kB resident`);
  assert.ok(resident < 4 * 1024, `${resident} kB resident`);
}
