/**
 * The real Falco, with what `tag-rules` writes for it and a shipper beside it: its alerts come out of it at the same
 * pace whatever the forwarder does, also after its rules have changed, and all of them arrive (FACTS 1.20, 1.21).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { runCommand } from '../commands/run-command.ts';
import { until } from '../until.ts';
import { cannotCompile, openFolder } from './compiled.ts';
import { run, stopped } from './running.ts';
import { live, ship } from './shipping.ts';
import { type Behaviour, standIn } from './stand-in.ts';

const binary = process.env.FALCO_BINARY;

/** Of the plugin. */
const eventsASecond = 50;

/** Milliseconds that are watched, before a change of the rules and after it. */
const watched = 4_000;

const configuration = (rules: string, plugin: string): string => `
rules_files: [${rules}]
watch_config_files: true
engine: {kind: nodriver}
load_plugins: [clock]
plugins: [{name: clock, library_path: ${plugin}}]
stdout_output: {enabled: true}
json_output: true
time_format_iso_8601: true
log_stderr: true
log_syslog: false
`;

const rule = (description: string): string => `
- rule: Tick
  desc: ${description}
  source: clock
  condition: evt.num > 0
  output: tick %evt.rawtime
  priority: NOTICE
`;

function pluginIn(folder: string): string {
  const plugin = join(folder, 'libclock.so');
  const source = new URL('clock-plugin.c', import.meta.url).pathname;
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-Wall', '-Wextra', '-o', plugin, source]);
  assert.equal(status, 0, stderr.toString());
  return plugin;
}

async function startFalco(t: TestContext, alertsFile: string) {
  const folder = openFolder();
  const [rules, config, ours] = ['rules.yaml', 'falco.yaml', 'federation'].map((name) => join(folder, name));
  assert.ok(rules !== undefined && config !== undefined && ours !== undefined);
  mkdirSync(ours);
  writeFileSync(rules, rule('first'));
  writeFileSync(config, configuration(rules, pluginIn(folder)));
  const extra = JSON.stringify({ path: ours, strategy: 'override' });
  const args = ['-c', config, '-o', `config_files[]=${extra}`];
  const tagRules = async () => {
    const tag = ['tag-rules', '--tag', 'staging', '--output', ours, '--alerts-to', alertsFile];
    const { status, stderr } = await runCommand([...tag, '--config', config, '--', 'falco', ...args]);
    assert.equal(status, 0, stderr);
  };
  await tagRules();
  const { child, said } = run(t, binary ?? '', args);
  /** Lines of its standard output: its own last line may be half a one. */
  const alerts = (): string[] =>
    said.out
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.includes('"rule":"Tick"'));
  const changeRules = async (description: string) => {
    const from = said.err.length;
    writeFileSync(rules, rule(description));
    await tagRules();
    await until(`it reloads: ${said.err}`, () => said.err.slice(from).includes('restarting'));
  };
  await until(`it alerts: ${said.err}`, () => alerts().length > 0);
  return { child, alerts, changeRules };
}

const texts = (lines: Iterable<string>): string[] =>
  [...lines].map((line) => String(JSON.parse(line).output)).toSorted();

const hangs: Behaviour = () => undefined;
const fails: Behaviour = ({ answer }) => answer.writeHead(503).end();

type Forwarder = Awaited<ReturnType<typeof standIn>>;

const faults: readonly (readonly [string, (forwarder: Forwarder) => unknown])[] = [
  ['takes them', () => undefined],
  ['hangs', (forwarder) => forwarder.behave(hangs)],
  ['answers 503', (forwarder) => forwarder.behave(fails)],
  ['is away', (forwarder) => forwarder.stop()],
];

describe('alerts of the real Falco', {
  skip: binary === undefined ? 'FALCO_BINARY names no Falco' : cannotCompile,
}, () => {
  for (const [about, misbehave] of faults)
    test(`the forwarder ${about}`, async (t) => {
      const forwarder = await standIn(t);
      const shipper = await ship(t, forwarder.url);
      const falco = await startFalco(t, live(shipper.folder));
      const paced = async (when: string) => {
        const before = falco.alerts().length;
        await wait(watched);
        const came = falco.alerts().length - before;
        assert.ok(came > (eventsASecond * watched) / 1_000 / 2, `${when}: ${came} in ${watched} ms`);
        t.diagnostic(`${when}: ${came} alerts in ${watched} ms`);
      };
      await misbehave(forwarder);
      await paced('at first');
      await falco.changeRules('second');
      await paced('after a change of its rules');
      forwarder.behave();
      if (!forwarder.server.listening) await forwarder.start();
      await stopped(falco.child);
      const told = texts(falco.alerts());
      await until('all have arrived', () => forwarder.events.size >= told.length, 60_000);
      assert.deepEqual(texts(forwarder.events.values()), told);
      assert.equal(await stopped(shipper.child), 0);
    });
});
