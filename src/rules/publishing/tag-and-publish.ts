/** One whole run: look, plan, publish, tell. What `tag-rules` does once. */
import type { Finding } from '../../reasons/reasons.ts';
import type { FileSystem } from '../configuration/file-system.ts';
import { inFolder } from '../configuration/paths.ts';
import { dropInName } from './drop-in.ts';
import {
  emptyReport,
  type Planned,
  type PlanQuestion,
  planPublication,
  type RulesReport,
  reportingErrors,
} from './publication-plan.ts';
import { type Draft, type Publishes, type PublishingDisk, publish, publishWithoutRules } from './publish.ts';

export interface TagAndPublish extends PlanQuestion {
  readonly fileSystem: FileSystem;
  readonly disk: PublishingDisk;
}

/**
 * Never throws: what goes wrong is in the report, and Falco's own rules or the former publication in force. Where
 * nothing can be tagged now, a former publication is withdrawn: Falco has its own rules back.
 */
export function tagAndPublish(run: TagAndPublish): RulesReport {
  return reportingErrors(() => publishPlanned(run, planPublication(run)).report);
}

export interface Reported {
  readonly report: RulesReport;
  /** The drop-in, where it is left to be renamed. */
  readonly left: Draft | undefined;
}

/** Publishes, and reports what it came to: of what could not be written, nothing is tagged. */
export function publishPlanned(run: TagAndPublish, { plan, report }: Planned, how?: Publishes): Reported {
  const publication = publish(run.disk, run.output, plan, how);
  if (publication.is === 'published') return { report, left: publication.left };
  const failed = emptyReport({ code: 'rules_output_unwritable', detail: publication.why });
  const isWithdrawn = publication.isOutdated && publishWithoutRules(run.disk, run.output, plan);
  const findings: Finding[] = isWithdrawn ? [{ code: 'rules_withdrawn' }] : [];
  return { report: { ...failed, findings }, left: undefined };
}

/** The report of a look after which nothing is published, with a word about what was before. */
export function keptAsBefore({ disk, output }: TagAndPublish, report: RulesReport): RulesReport {
  const dropIn = inFolder(output, dropInName);
  if (disk.kind(dropIn) === undefined) return report;
  return { ...report, findings: [...report.findings, { code: 'rules_previous_kept', detail: dropIn }] };
}
