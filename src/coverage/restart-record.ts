import * as z from 'zod';

/** What was done about a workload whose pods are not what today's settings ask for. Times are the API server's. */
const entry = z.object({
  /** The settings, as `settingsKey` names them, for which it is done. */
  settings: z.string(),
  /** Since when: a pod that was created later was created under them. */
  since: z.number(),
  /** The pod that was to go last: its uid and name; and when it was. */
  pod: z.string(),
  name: z.string(),
  at: z.number(),
});

const record = z.record(z.string(), entry);

export type RestartEntry = Readonly<z.infer<typeof entry>>;

/** By the key of the workload. Whoever replaces pods next goes on from it. */
export type RestartRecord = Readonly<Record<string, RestartEntry>>;

/** An annotation that someone damaged counts as empty: nothing is replaced because of it that would not be otherwise. */
export function readRecord(text: string): RestartRecord {
  try {
    return record.parse(JSON.parse(text === '' ? '{}' : text));
  } catch {
    return {};
  }
}
