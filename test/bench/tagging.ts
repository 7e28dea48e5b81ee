/** `tag-rules` as the init container runs it: whole processes, against Node that does nothing. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { upstream } from '../injection/reviews.ts';
import { median, type Section, shown } from './figures.ts';
import { launcher, type Place, root } from './webhook.ts';

const upstreamRules = join(upstream, 'rules/falco_rules.yaml');

/** Upstream's default rules, or the repository's own, repeated under other names. */
function rules(times: number): string {
  const text = readFileSync(
    existsSync(upstreamRules) ? upstreamRules : join(root, 'test/real/own-pod/rules/falco_rules.yaml'),
    'utf8',
  );
  return Array.from({ length: times }, (_, at) =>
    at === 0 ? text : text.replace(/^- (rule|macro|list): (.*)$/gm, `- $1: $2 ${at}`),
  ).join('\n');
}

interface Process {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly prepare: () => void;
}

interface Cost {
  readonly name: string;
  /** Milliseconds from start to end, and of processor time; kilobytes at the most. */
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
}

/** What the process used it says itself at its end; not by `maxRSS`, which begins with what its parent had. */
const reporter = `import fs from 'node:fs';process.on('exit',()=>{const u=process.resourceUsage();process.stderr.write('USED '+(u.userCPUTime+u.systemCPUTime)+' '+/VmHWM:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status','utf8'))[1]+'\\n')})`;
const reporting = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(reporter)}` };

const env = { ...process.env, NODE_ENV: 'production' };

function once({ name, program, args, prepare }: Process): Cost {
  prepare();
  const from = performance.now();
  const plain = spawnSync(program, args, { encoding: 'utf8', env });
  const wall = performance.now() - from;
  if (plain.status !== 0) throw new Error(`${name}: exit ${plain.status}\n${plain.stderr}`);
  prepare();
  const { stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...env, ...reporting } });
  const [, cpu, peak] = /^USED (\d+) (\d+)$/m.exec(stderr) ?? [];
  return { name, wall, cpu: Number(cpu) / 1_000, peak: Number(peak) };
}

export function tagging({ folder }: Place, rounds: number): Section {
  const out = join(folder, 'out');
  const tag = (times: number): Process => {
    const own = join(folder, `rules-${times}`);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'falco_rules.yaml'), rules(times));
    writeFileSync(join(own, 'falco.yaml'), `rules_files: [${join(own, 'falco_rules.yaml')}]\n`);
    return {
      name: `tag-rules, rules x ${times}`,
      program: launcher,
      args: [
        ...['tag-rules', '--tag', 'staging', '--output', out, '--config', join(own, 'falco.yaml')],
        ...['--termination-message', '/dev/null'],
      ],
      prepare: () => {
        rmSync(out, { recursive: true, force: true });
        mkdirSync(out);
      },
    };
  };
  const bare = { name: 'node -e 0', program: process.execPath, args: ['-e', '0'], prepare: () => {} };
  const processes = [bare, ...[1, 10, 100].map(tag)];
  const all: Cost[] = [];
  for (let round = 0; round < rounds; round += 1) for (const one of processes) all.push(once(one));
  const costs = processes.map(({ name }): Cost => {
    const own = all.filter((one) => one.name === name);
    const of = (key: 'wall' | 'cpu' | 'peak') => median(own.map((one) => one[key]));
    return { name, wall: of('wall'), cpu: of('cpu'), peak: of('peak') };
  });
  return section(costs);
}

function targetsOf(
  bare: Cost,
  cost: Cost,
  what: string,
  limits: { readonly times: number; readonly peak: number },
): Section['targets'] {
  return [
    { what, limit: limits.times, unit: 'x bare Node', is: cost.wall / bare.wall },
    { what: `${what}, peak`, limit: limits.peak, unit: 'MiB', is: cost.peak / 1024 },
  ];
}

function section(costs: readonly Cost[]): Section {
  const [bare, one, ten, hundred] = costs;
  if (bare === undefined || one === undefined || ten === undefined || hundred === undefined)
    throw new Error('not all processes ran');
  return {
    name: 'Tagging: whole processes',
    table: [
      ['process', 'ms', 'x bare', 'ms CPU', 'peak MiB'],
      ...costs.map(({ name, wall, cpu, peak }) => [
        ...[name, shown(wall), shown(wall / bare.wall), shown(cpu), shown(peak / 1024)],
      ]),
    ],
    targets: [
      ...targetsOf(bare, one, 'tagging the default rules', { times: 3, peak: 60 }),
      ...targetsOf(bare, ten, '10 times the rules', { times: 6, peak: 80 }),
      ...targetsOf(bare, hundred, '100 times the rules', { times: 25, peak: 110 }),
      {
        ...{ what: 'growth from 10 to 100 times the rules', limit: 10, unit: 'x' },
        is: (hundred.cpu - bare.cpu) / (ten.cpu - bare.cpu),
      },
    ],
    notes: existsSync(upstreamRules) ? [] : ["the repository's own rules, upstream's are not here"],
    data: costs,
  };
}
