/** One whole run: look, plan, publish, tell. What `tag-rules` does once, a follower does again and again. */
import { errorCode, type FileSystem } from './file-system.ts';
import { emptyReport, type PlanQuestion, planPublication, type RulesReport } from './publication-plan.ts';
import { type PublishingDisk, publish } from './publish.ts';

export interface TagAndPublish extends PlanQuestion {
  readonly fileSystem: FileSystem;
  readonly disk: PublishingDisk;
}

/**
 * Never throws: what goes wrong is in the report, and Falco's own rules or the former publication in force.
 *
 * @param whenNothing what becomes of a former publication where nothing can be tagged now: `withdraw` gives Falco its
 *   own rules back; `keep` is for a follower, as a source that is away for a moment must not cost Falco its rules
 */
export function tagAndPublish(
  run: TagAndPublish,
  whenNothing: 'withdraw' | 'keep' = 'withdraw',
): RulesReport {
  try {
    const { plan, report } = planPublication(run);
    if (plan.dropIn === undefined && whenNothing === 'keep') return report;
    const publication = publish(run.disk, run.output, plan);
    if (publication.is === 'published') return report;
    return { ...report, outcome: { code: 'rules_output_unwritable', detail: publication.why } };
  } catch (error) {
    return emptyReport({ code: 'rules_tagging_failed', detail: errorCode(error) });
  }
}
