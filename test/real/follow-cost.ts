/** What following costs a node: the follow-rules container of the own pod, by /proc, idle and over updates. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { runContainer, whileRunning } from './container.ts';
import { followRulesName, overwriteAsFalcoctl } from './following-run.ts';
import { checkPublished } from './published-rules.ts';
import { containerOf } from './recorded-pods.ts';
import { type Node, succeed, tagRulesName } from './tagging-run.ts';
import { until } from './until.ts';

export interface FollowCost {
  readonly idle: {
    readonly seconds: number;
    /** The most of all looks: processes, and their resident kilobytes together (VmRSS). */
    readonly processes: number;
    readonly residentKb: number;
    /** Processor time, and how often the processes were woken up. */
    readonly cpuSeconds: number;
    readonly wakeUps: number;
  };
  readonly updates: {
    readonly count: number;
    /** From the end of the write until the tagged copy is published: the middle one and the longest. */
    readonly medianSeconds: number;
    readonly longestSeconds: number;
    readonly cpuSecondsEach: number;
    /** The most of all looks, Node and the launcher together. */
    readonly peakKb: number;
    /** How often the drop-in was replaced: each time Falco reloads. */
    readonly publications: number;
  };
}

/** Runs it idle for so many seconds, then through so many updates of its rules. Throws if one is not tagged. */
export async function followCost(
  node: Node,
  tags: readonly string[],
  { idleSeconds, updates }: { readonly idleSeconds: number; readonly updates: number },
): Promise<FollowCost> {
  succeed(await runContainer(node, containerOf(node.pod, tagRulesName)));
  let cost: FollowCost | undefined;
  await whileRunning(node, containerOf(node.pod, followRulesName), async ({ pid, stop }) => {
    await until('the container runs', () => pid() > 0, true);
    const first = pid();
    await alone(first);
    cost = {
      idle: await idle(first, idleSeconds),
      updates: await overUpdates(node, tags, first, updates),
    };
    stop();
  });
  return cost ?? assert.fail('unreachable: whileRunning throws');
}

async function idle(first: number, seconds: number): Promise<FollowCost['idle']> {
  const before = used(first);
  let processes = 0;
  let residentKb = 0;
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    const now = familyOf(first);
    processes = Math.max(processes, now.length);
    residentKb = Math.max(residentKb, resident(now));
    await wait(500);
  }
  const after = used(first);
  return {
    ...{ seconds, processes, residentKb },
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    wakeUps: after.wakeUps - before.wakeUps,
  };
}

async function overUpdates(
  node: Node,
  tags: readonly string[],
  first: number,
  count: number,
): Promise<FollowCost['updates']> {
  const rules = join(node.folder, 'rulesfiles-install-dir/falco_rules.yaml');
  const before = used(first);
  const took: number[] = [];
  let peakKb = 0;
  const dropIns = new Set([identity(node)]);
  for (let at = 1; at <= count; at += 1) {
    overwriteAsFalcoctl(rules, `Update ${at}`);
    const from = performance.now();
    while (!isPublished(node, `Update ${at}`)) {
      assert.ok(performance.now() - from < 30_000, `update ${at} is not published after 30 s`);
      peakKb = Math.max(peakKb, resident(familyOf(first)));
      await wait(20);
      dropIns.add(identity(node));
    }
    took.push((performance.now() - from) / 1_000);
    // One more publication would come at once.
    await alone(first, () => dropIns.add(identity(node)));
  }
  checkPublished(node.falco, tags);
  took.sort((one, other) => one - other);
  return {
    ...{ count, peakKb, publications: dropIns.size - 1 },
    medianSeconds: took[count >> 1] ?? Number.NaN,
    longestSeconds: took.at(-1) ?? Number.NaN,
    cpuSecondsEach: (used(first).cpuSeconds - before.cpuSeconds) / count,
  };
}

/** Waits until there is no process but the launcher for a second: there is nothing to tag, for all that it knows. */
async function alone(first: number, look: () => void = () => {}): Promise<void> {
  const end = performance.now() + 60_000;
  for (let since = performance.now(); performance.now() - since < 1_000; await wait(20)) {
    const now = performance.now();
    assert.ok(now < end, 'Node runs on and on');
    if (familyOf(first).length > 1) since = now;
    look();
  }
}

/** Another one with each publication, which replaces the file. */
function identity({ output }: Node): string {
  const { ino, mtimeNs } = statSync(join(output, 'federation.yaml'), { bigint: true });
  return `${ino} ${mtimeNs}`;
}

function readDropIn({ output }: Node): string {
  return readFileSync(join(output, 'federation.yaml'), 'utf8');
}

function isPublished(node: Node, rule: string): boolean {
  const folder = /rules\/00-[^"]*/.exec(readDropIn(node))?.[0] ?? '';
  return readFileSync(join(node.output, folder, 'falco_rules.yaml'), 'utf8').includes(`rule: ${rule}\n`);
}

/** A process and its children, as far as they are still there. */
function familyOf(first: number): readonly number[] {
  const children = read(`/proc/${first}/task/${first}/children`).split(' ').filter(Boolean).map(Number);
  return [first, ...children];
}

function resident(processes: readonly number[]): number {
  return processes.reduce((sum, pid) => sum + inStatus(pid, 'VmRSS'), 0);
}

/** What the first process has used, its ended children included. */
function used(first: number): { readonly cpuSeconds: number; readonly wakeUps: number } {
  // proc(5): utime, stime, cutime and cstime are the 14th to 17th, in ticks of a hundredth of a second.
  const fields = read(`/proc/${first}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const wakeUps = inStatus(first, 'voluntary_ctxt_switches') + inStatus(first, 'nonvoluntary_ctxt_switches');
  return { cpuSeconds: ticks / 100, wakeUps };
}

function inStatus(pid: number, key: string): number {
  return Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
