/** Looking at a cluster that is broken, and doing what `check` says of it. */
import assert from 'node:assert/strict';
import type { Line } from '../../../src/checks/line.ts';
import { until } from '../replica.ts';
import { type Found, type How, patience, type Stage } from './stage.ts';

/** Commands of kubectl that change nothing; an editor changes nothing by itself here. */
const shows = /^kubectl (--namespace \S+ )?(get|describe|logs|edit|auth|cluster-info|rollout status)( |$)/;

/** The commands of a remedy. A pipe is one, and what stands behind `#` is for people. */
function commandsOf(fix: string): readonly string[] {
  return fix
    .replace(/ +#.*$/, '')
    .split(/; | && /)
    .filter((command) => command.startsWith('kubectl '));
}

export function looking(stage: () => Stage) {
  const texts: string[] = [];
  const [told, ran] = [new Set<string>(), new Set<string>()];

  /** The line of a look that is wrong, after saying it for the record. */
  function toldOf({ lines }: Found, name: string, mark: Line['mark'] = 'error', why = /^/): Line {
    const found = lines.find((line) => line.check === name && line.mark === mark && why.test(line.why ?? ''));
    const others = lines.filter((line) => line.mark !== 'ok');
    assert.ok(found !== undefined, `no ${mark} of ${name} in ${JSON.stringify(others, null, 1)}`);
    texts.push(`${mark === 'error' ? '✗' : '‼'} ${found.text}\n    ${found.why}\n    → ${found.fix}`);
    for (const command of commandsOf(found.fix ?? '')) told.add(command);
    return found;
  }

  /** What is wrong, and what mends it; a command that only shows is run, word for word. */
  async function says(line: Line, why: RegExp, fix: RegExp): Promise<void> {
    assert.match(line.why ?? '', why);
    assert.match(line.fix ?? '', fix);
    for (const command of commandsOf(line.fix ?? '').filter((one) => shows.test(one))) await run(command);
  }

  async function run(command: string, how?: How): Promise<void> {
    await stage().run(command, how);
    for (const one of commandsOf(command)) ran.add(one);
  }

  /** Looks until check says something, since what is broken shows a moment later. */
  async function lookUntil(
    name: string,
    mark: Line['mark'] = 'error',
    why = /^/,
    ...flags: readonly string[]
  ): Promise<Found> {
    let last: Found | undefined;
    const isSo = async (): Promise<boolean> => {
      last = await stage().look(...flags);
      return last.lines.some((line) => line.check === name && line.mark === mark && why.test(line.why ?? ''));
    };
    await until(`check tells of ${name}`, isSo, patience).catch((failure: unknown) => {
      const wrong = last?.lines.filter(({ mark: is }) => is !== 'ok');
      throw new Error(`${String(failure)}: ${JSON.stringify(wrong, null, 1)}`);
    });
    return last ?? assert.fail();
  }

  /** Looks until check says this of something, with this remedy. */
  async function tells(name: string, why: RegExp, fix: RegExp, mark: Line['mark'] = 'error'): Promise<Line> {
    const line = toldOf(await lookUntil(name, mark, why), name, mark, why);
    await says(line, why, fix);
    return line;
  }

  /** Looks until nothing of this name is wrong any more. */
  async function mended(name: string): Promise<void> {
    const isSo = async (): Promise<boolean> =>
      (await stage().look()).lines.every(({ check, mark }) => check !== name || mark === 'ok');
    await until(`${name} is mended`, isSo, patience);
  }

  return {
    texts,
    told: toldOf,
    says,
    run,
    lookUntil,
    tells,
    mended,
    /** Commands that were told, and that nobody has run. */
    notRun: (): readonly string[] => [...told].filter((command) => !ran.has(command)),
  };
}

export type Looking = ReturnType<typeof looking>;
