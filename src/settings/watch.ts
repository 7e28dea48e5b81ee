import { isDeepStrictEqual } from 'node:util';
import { watchTexts } from '../background/watch-texts.ts';
import { parseSettings, type SettingsProblem } from './load.ts';
import type { Settings } from './schema.ts';

/** Settings that follow their file. */
export interface WatchedSettings {
  /** The last good ones; the very same object until the file changes. */
  readonly current: () => Settings;
  /** What is wrong with the file as it is now; empty while it is good. */
  readonly problems: () => readonly SettingsProblem[];
  readonly stop: () => void;
}

/**
 * Keeps settings up to date with their file. A file that turns bad or goes away changes nothing but `problems`; one
 * that says the same in other words changes nothing at all.
 *
 * @param first the settings that were read from the file at the start
 * @param every milliseconds between two looks at the file
 * @param onChange called when the settings or what is wrong with the file have changed
 */
export function watchSettings(
  file: string,
  first: Settings,
  every: number,
  onChange: (problems: readonly SettingsProblem[]) => void,
): WatchedSettings {
  let settings = first;
  let problems: readonly SettingsProblem[] = [];
  // Nothing counts as known: a change between the reading of `first` and now is seen at the first look.
  const stop = watchTexts([file], { ok: true, texts: [] }, every, (read) => {
    const result = read.ok
      ? parseSettings(read.texts[0] ?? '')
      : { ok: false as const, problems: [{ path: '', message: `cannot be read: ${read.why}` }] };
    const before = { settings, problems };
    if (result.ok && !isDeepStrictEqual(result.settings, settings)) settings = result.settings;
    problems = result.ok ? [] : result.problems;
    if (!isDeepStrictEqual({ settings, problems }, before)) onChange(problems);
  });
  return { current: () => settings, problems: () => problems, stop };
}
