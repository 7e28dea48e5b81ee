import type { Line } from './line.ts';
import type { View } from './view.ts';

/** One thing that is looked at. */
export interface Check {
  /** Snake_case; the lines' `check`, where all of it could not be looked at. */
  readonly name: string;
  /** What it is called where it could not be looked at. */
  readonly title: string;
  /** Lines; none where there is nothing to look at. May throw: then that is the line. */
  readonly look: (view: View) => Promise<readonly Line[]>;
}

export interface CheckGroup {
  readonly name: string;
  readonly checks: readonly Check[];
}
