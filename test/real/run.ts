/**
 * `npm run real`: builds the image and runs our containers in it as a cluster's nodes would, with runc.
 *
 * It needs root and the programs of .ci/install-tools. Without them it leaves everything out and says so; where CI
 * is set it fails instead. FEDERATION_UPSTREAM names a folder with recorded pods of upstream's charts; without it
 * only the repository's own small pod is run.
 */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import { type BuiltImage, buildImage } from './built-image.ts';
import { createContainer, runContainer } from './container.ts';
import { listedIn } from './falco-view.ts';
import { followCost } from './follow-cost.ts';
import { followChanges, followRulesName, tagAlongside } from './following-run.ts';
import { copyRulesName, runOurInit, viewWithImage, withFalcoImage, withoutFalcoctl } from './in-image-run.ts';
import { missing, must } from './machine.ts';
import { cache, removeLeftovers, root, upstreamFolder } from './places.ts';
import { checkPublished } from './published-rules.ts';
import {
  addedContainers,
  allContainers,
  containerOf,
  injected,
  type RecordedPod,
  recordedPods,
} from './recorded-pods.ts';
import { serveInImage } from './serving-run.ts';
import { shipAlertsName, shipFileOfFalco, shipOverARestart, whileShipping } from './shipping-run.ts';
import { changedPaths, snapshot } from './snapshot.ts';
import { listsRules, type Node, onNode, succeed, summaryOf, tagRulesName, tagTwice } from './tagging-run.ts';

const ownFolder = join(import.meta.dirname, 'own-pod');
const settings = join(ownFolder, 'settings.yaml');
const alongsideSettings = join(ownFolder, 'settings-alongside.yaml');
const failSettings = join(ownFolder, 'settings-fail.yaml');
const tags = ['staging'];
const mebibyte = 1024 * 1024;

const lacking = missing();
const leftOut = lacking.length > 0 && process.env.CI !== 'true';
const reason = `needs ${lacking.join(', ')} (see .ci/install-tools)`;

const own = recordedPods(ownFolder);
const recorded = upstreamFolder === undefined ? [] : recordedPods(upstreamFolder);

/** Filled before the first test that reads it. */
let built: BuiltImage | undefined;

function image(): BuiltImage {
  return built ?? assert.fail('the image was not built');
}

if (leftOut) console.log(`LEFT OUT, everything: ${reason}`);
else if (upstreamFolder === undefined) {
  console.log(
    "LEFT OUT: upstream's recorded pods (FEDERATION_UPSTREAM names no folder); only our own small pod runs",
  );
}

describe('the image', { skip: leftOut && reason }, () => {
  before(() => {
    assert.deepEqual(lacking, [], reason);
    removeLeftovers();
    const from = performance.now();
    built = buildImage();
    const took = ((performance.now() - from) / 1000).toFixed(0);
    console.log(`built in ${took} s on ${built.base}`);
  });

  test('is small, and says what it is', () => {
    const { compressed, uncompressed, config } = image();
    console.log(`size: ${mib(compressed)} compressed, ${mib(uncompressed)} uncompressed`);
    assert.ok(compressed <= 60 * mebibyte, `${mib(compressed)} compressed is more than 60 MiB`);
    assert.equal(config.User, '65532:65532');
    assert.equal(
      config.Labels['org.opencontainers.image.version'],
      packageVersion(),
      'ARG VERSION in the Dockerfile',
    );
  });

  test('starts fast', async () => {
    // Upstream's rules are what nearly every Falco has.
    const pod = recorded.find(({ from }) => from === 'falco-9.1.0-defaults') ?? ownPod();
    await onNode(image(), pod, injected(pod, settings).pod, async (node) => {
      const container = containerOf(node.pod, tagRulesName);
      const nothing = await median(node, { ...container, command: ['/usr/bin/node', '--version'], args: [] });
      const help = await median(node, { ...container, args: ['--help'] });
      const first = await median(node, container, () => {
        rmSync(join(node.output, 'federation.yaml'), { force: true });
        rmSync(join(node.output, 'rules'), { recursive: true, force: true });
      });
      const again = await median(node, container);
      console.log(
        `cold start under runc with the rules of ${pod.from}, medians of 5: --help ${help} ms, tag-rules ${first} ms, again with nothing to do ${again} ms` +
          ` (of these ${nothing} ms for runc itself and node --version)`,
      );
    });
  });

  test('answers as the source does', async () => {
    await serveInImage(image(), ownPod(), settings);
  });

  describe('in the pods of charts', () => {
    const table: string[][] = [['pod', 'Falco', 'entries', 'tagged', 'rules', 'tagged']];
    const pods = [...own, ...recorded];

    for (const pod of pods.filter(isFalcoPod)) {
      test(`${pod.from}: tag-rules tags each rule once, and each container of ours can be mounted`, async (t) => {
        const { pod: after, said } = injected(pod, settings);
        const about = [pod.from, falcoVersion(pod.pod)];
        const ours = addedContainers(pod.pod, after);
        if (!ours.some(({ name }) => name === tagRulesName)) {
          const code = /falco_too_old|rules_in_image/.exec(said)?.[0];
          assert.ok(code, `no ${tagRulesName} was added, and nothing that is said allows it: ${said}`);
          // Alerts are shipped all the same.
          assert.deepEqual(
            ours.map(({ name }) => name),
            [shipAlertsName],
          );
          table.push([...about, '-', '-', '-', '-', code]);
          t.diagnostic(said.trim());
          return;
        }
        if (ours.some(({ name }) => name === copyRulesName)) {
          table.push([...about, '-', '-', '-', '-', 'rules in the image: below']);
          return;
        }
        await onNode(image(), pod, after, async (node) => {
          const { entries, taggedEntries, rules, tagged } = await tagTwice(node, tags);
          table.push([...about, ...[entries, taggedEntries, rules, tagged].map(String)]);
          assert.ok(tagged > 0, 'some rules were tagged');
          for (const container of ours) await createContainer(node, container);
          // Falco has a mount of ours too; its own program is not in this image.
          await createContainer(node, { ...containerOf(after, 'falco'), command: ['/usr/bin/node'] });
        });
      });
    }

    test('a mount that keeps a container from being created is noticed here (FACTS 4.8)', async () => {
      await onOwnPod(settings, async (node) => {
        const container = containerOf(node.pod, tagRulesName);
        const readOnly = (container.volumeMounts ?? []).map((mount) => ({ ...mount, readOnly: true }));
        const refused = createContainer(node, { ...container, volumeMounts: readOnly });
        await assert.rejects(refused, /mounting .*falco\.yaml.* read-only file system/s);
      });
    });

    test('other pods get no containers', () => {
      for (const pod of pods.filter((one) => !isFalcoPod(one))) {
        assert.deepEqual(addedContainers(pod.pod, injected(pod, settings).pod), [], pod.review);
      }
    });

    test('the table', () => {
      for (const [pod = '', ...rest] of table) {
        console.log(pod.padEnd(28), rest.map((cell) => cell.padEnd(13)).join(' '));
      }
    });
  });

  describe('rules in the image of Falco', () => {
    const noFalcoctl = recorded.find(({ from }) => from === 'falco-9.1.0-no-falcoctl');
    const pods: Readonly<Record<string, () => RecordedPod>> = {
      'own-pod without falcoctl': () => withoutFalcoctl(ownPod()),
      ...(noFalcoctl === undefined ? {} : { [noFalcoctl.from]: () => noFalcoctl }),
    };

    for (const [name, make] of Object.entries(pods)) {
      test(`${name}: are copied out of an image without any program, and tagged`, async () => {
        const pod = make();
        await withFalcoImage(image(), pod.rules, (falcoImage) =>
          onNode(image(), pod, injected(pod, settings).pod, async (node) => {
            const ran = await runOurInit(node, falcoImage);
            assert.deepEqual(
              ran.map(({ status }) => status),
              [0, 0, 0],
              ran.map(({ stderr }) => stderr).join(''),
            );
            const { rules, tagged } = checkPublished(viewWithImage(node, falcoImage), tags);
            assert.ok(rules > 0);
            assert.equal(tagged, rules);
            // Again, as after a restart of the node.
            for (const { status } of await runOurInit(node, falcoImage)) assert.equal(status, 0);
            checkPublished(viewWithImage(node, falcoImage), tags);
          }),
        );
      });
    }

    const faults: Readonly<Record<string, (rootfs: string) => void>> = {
      'has no /etc/falco': (rootfs) => rmSync(join(rootfs, 'etc/falco'), { recursive: true }),
      'has rules that only root may read': (rootfs) =>
        chmodSync(join(rootfs, 'etc/falco/falco_rules.yaml'), 0o600),
      'has more than the volume may hold': (rootfs) =>
        writeFileSync(join(rootfs, 'etc/falco/huge.yaml'), Buffer.alloc(17 * mebibyte)),
    };
    for (const [fault, make] of Object.entries(faults)) {
      test(`an image that ${fault}: every init container ends well, and Falco's list stays as it was`, async () => {
        const pod = withoutFalcoctl(ownPod());
        await withFalcoImage(image(), pod.rules, async (falcoImage) => {
          make(falcoImage.rootfs);
          await onNode(image(), pod, injected(pod, settings).pod, async (node) => {
            for (const { status } of await runOurInit(node, falcoImage)) assert.equal(status, 0);
            const [first] = listedIn(join(node.output, 'federation.yaml'), 'rules_files');
            assert.equal(first, '/etc/falco/falco_rules.yaml');
          });
        });
      });
    }
  });

  test('follow-rules tags what comes later, and stops when it is asked to', async () => {
    await onOwnPod(settings, (node) => followChanges(node, tags));
  });

  test('alongside: no init container of ours, and the rules are tagged while Falco runs', async () => {
    const { pod } = injected(ownPod(), alongsideSettings);
    assert.deepEqual(
      addedContainers(ownPod().pod, pod).map(({ name }) => name),
      [followRulesName, shipAlertsName],
    );
    await onNode(image(), ownPod(), pod, (node) => tagAlongside(node, tags));
  });

  test('follow-rules costs next to nothing', async () => {
    // Longer than this by the environment: what is measured is told in docs/performance.md.
    const idleSeconds = Number(process.env.FEDERATION_IDLE_SECONDS ?? 10);
    const updates = Number(process.env.FEDERATION_UPDATES ?? 3);
    const cost = await onOwnPod(settings, (node) => followCost(node, tags, { idleSeconds, updates }));
    const { compressed, uncompressed } = image();
    const figures = JSON.stringify({ compressed, uncompressed, follow: cost });
    writeFileSync(join(cache, 'figures.json'), figures);
    console.log(figures);
    assert.equal(cost.idle.processes, 1);
    assert.ok(cost.idle.residentKb <= 8 * 1024, `${cost.idle.residentKb} kB resident`);
    assert.ok(cost.idle.wakeUps <= 2 + idleSeconds / 10, `${cost.idle.wakeUps} times awake`);
    assert.equal(cost.updates.publications, updates, 'Falco reloads once for each update');
  });

  describe("ship-alerts brings a spoke's alerts to the hub", () => {
    test('all of them over a restart of the forwarder, by the name in DNS', () =>
      whileShipping(image(), ownPod(), shipOverARestart));

    test('each once, also from a file that Falco made before, by the name in /etc/hosts', () =>
      whileShipping(image(), ownPod(), shipFileOfFalco));
  });

  describe('leaves Falco its own rules when something is wrong', () => {
    const faults: Readonly<Record<string, (node: Node, container: V1Container) => V1Container>> = {
      'falco.yaml is missing': (_, container) => without(container, 'falco-yaml'),
      'the volume is not writable for us': ({ output }, container) => {
        chmodSync(output, 0o755);
        return container;
      },
      'the volume is mounted read-only': (_, container) => ({
        ...container,
        volumeMounts:
          container.volumeMounts?.map((mount) =>
            mount.name === 'falco-federation' ? { ...mount, readOnly: true } : mount,
          ) ?? [],
      }),
      'the volume is missing': (_, container) => without(container, 'falco-federation'),
      'no rules file may be read': (node, container) => {
        makeUnreadable(node);
        return without(container, 'rules-volume');
      },
    };
    for (const [fault, make] of Object.entries(faults)) {
      test(`${fault}: exit 0, no rules published`, () => inFault(settings, make, 0));
      test(`${fault}, onFailure: fail: exit 1, no rules published`, () => inFault(failSettings, make, 1));
    }

    test('the volume is full: exit 0, nothing published', () => inFault(settings, full, 0, unmount));
    test('the volume is full, onFailure: fail: exit 1, nothing published', () =>
      inFault(failSettings, full, 1, unmount));

    test('one of two files may not be read: the other is tagged, the first stays in the list', async () => {
      await onOwnPod(settings, async (node) => {
        makeUnreadable(node);
        succeed(await runContainer(node, containerOf(node.pod, tagRulesName)));
        const dropIn = readFileSync(join(node.output, 'federation.yaml'), 'utf8');
        assert.match(dropIn, /\/etc\/falco\/falco_rules\.yaml/);
        assert.match(dropIn, /\/etc\/falco-federation\/rules\/02-rules\.d/);
      });
    });

    test('the volume is full when the rules have changed: the outdated copies are withdrawn, alerts are still written', async () => {
      await onOwnPod(settings, async (node) => {
        const container = containerOf(node.pod, tagRulesName);
        full(node, container, '256k');
        try {
          succeed(await runContainer(node, container));
          const rules = join(node.folder, 'rulesfiles-install-dir/falco_rules.yaml');
          writeFileSync(rules, `${readFileSync(rules, 'utf8')}# ${'longer '.repeat(60_000)}\n`);
          const published = snapshot(node.output);
          const ran = await runContainer(node, container);
          succeed(ran);
          assert.match(ran.terminationMessage, /rules_output_unwritable.*rules_withdrawn/);
          assert.equal(listsRules(node), false, 'Falco runs its own rules');
          assert.match(readFileSync(join(node.output, 'federation.yaml'), 'utf8'), /^file_output:/m);
          // What Falco may have read of is still there.
          assert.deepEqual(
            changedPaths(published, snapshot(node.output)).filter((path) => !path.startsWith('work')),
            ['federation.yaml'],
          );
        } finally {
          unmount(node);
        }
      });
    });
  });
});

function mib(bytes: number): string {
  return `${(bytes / mebibyte).toFixed(1)} MiB`;
}

function packageVersion(): string {
  // Safe: npm refuses a package.json without it.
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Whole milliseconds from the start of runc to its end; the middle one of five runs. */
async function median(node: Node, container: V1Container, prepare: () => void = () => {}): Promise<number> {
  const times: number[] = [];
  for (let at = 0; at < 5; at += 1) {
    prepare();
    const { status, took, stderr } = await runContainer(node, container);
    assert.equal(status, 0, stderr);
    times.push(took);
  }
  return Math.round(times.toSorted((one, other) => one - other)[2] ?? Number.NaN);
}

function isFalcoPod({ pod }: RecordedPod): boolean {
  return allContainers(pod).some(({ name }) => name === 'falco');
}

function falcoVersion(pod: V1Pod): string {
  return containerOf(pod, 'falco').image?.split(':').at(-1) ?? '?';
}

async function onOwnPod<T>(settingsFile: string, use: (node: Node) => T | Promise<T>): Promise<T> {
  return onNode(image(), ownPod(), injected(ownPod(), settingsFile).pod, use);
}

function ownPod(): RecordedPod {
  return own[0] ?? assert.fail(`${ownFolder} has no pod`);
}

async function inFault(
  settingsFile: string,
  make: (node: Node, container: V1Container) => V1Container,
  status: number,
  repair: (node: Node) => void = () => {},
): Promise<void> {
  await onOwnPod(settingsFile, async (node) => {
    const container = make(node, containerOf(node.pod, tagRulesName));
    try {
      const ran = await runContainer(node, container);
      assert.equal(ran.status, status, `exit ${ran.status}\n${ran.stdout}${ran.stderr}`);
      summaryOf(ran);
      assert.equal(listsRules(node), false, 'no rules are published');
    } finally {
      repair(node);
    }
  });
}

function without(container: V1Container, volume: string): V1Container {
  return { ...container, volumeMounts: (container.volumeMounts ?? []).filter(({ name }) => name !== volume) };
}

function makeUnreadable({ folder }: Node): void {
  const rules = join(folder, 'rulesfiles-install-dir/falco_rules.yaml');
  chownSync(rules, 0, 0);
  chmodSync(rules, 0o600);
}

/** An emptyDir on a disk with no more than `size` left. */
function full({ output }: Node, container: V1Container, size = '4k'): V1Container {
  must('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=777`, 'tmpfs', output]);
  return container;
}

function unmount({ output }: Node): void {
  must('umount', [output]);
}
