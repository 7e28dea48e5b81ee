import type { Operation } from 'fast-json-patch';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { injectLabel } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { type Additions, onlyFindings, together } from './additions.ts';
import { bring } from './bring.ts';
import { planFalco } from './falco/plan-falco.ts';
import type { SecretOf } from './falcosidekick/environment.ts';
import { planFalcosidekick } from './falcosidekick/plan-falcosidekick.ts';
import { patchBetween } from './patch.ts';
import type { PodTemplate, SeenAs } from './pod-template.ts';
import { type ReadPod, readPod } from './read-pod.ts';
import { withoutStatus, withStatus } from './status.ts';

/** What became of a pod template. */
export interface Injection {
  /** What it came to, in one code. */
  readonly reason: Finding;
  /** Everything else worth telling: warnings. */
  readonly findings: readonly Finding[];
  /** The injected template; the very same object where there is nothing to do. */
  readonly template: PodTemplate;
  /** From the given template to the injected one, paths relative to the template; empty where nothing is to do. */
  readonly patch: readonly Operation[];
}

/** What `inject` can know beside the template. */
export interface InjectOptions {
  /** Values of a Secret in the template's namespace, by key; `undefined` for one that is not known. */
  readonly secretOf?: SecretOf;
  readonly seenAs?: SeenAs;
  /** What was found while the settings in force were worked out: the status annotation names it too. */
  readonly foundBefore?: readonly Finding[];
}

interface Plan {
  readonly additions: Additions;
  /** The reason where nothing of the pod's is ours, before or after, and nothing was found. */
  readonly otherwise: Finding;
}

function plan(pod: ReadPod, effective: EffectiveSettings, options: InjectOptions): Plan {
  if (pod.template.metadata?.labels?.[injectLabel] === 'disabled')
    return { additions: onlyFindings([]), otherwise: { code: 'opted_out' } };
  const { falco, falcosidekick, findings } = pod;
  if (falco === undefined && falcosidekick === undefined)
    return { additions: onlyFindings(findings), otherwise: { code: 'not_falco' } };
  let additions = onlyFindings(findings);
  if (falco !== undefined)
    additions = together(additions, planFalco(pod, falco, effective, options.seenAs ?? 'file'));
  if (falcosidekick !== undefined)
    additions = together(additions, planFalcosidekick(pod, falcosidekick, effective, options.secretOf));
  return { additions, otherwise: { code: 'nothing_to_add' } };
}

/**
 * Makes a pod template part of the federation. Pure: no I/O, and the given template is never changed.
 *
 * The pod is read once (read-pod.ts), each part says what is to be ours (additions.ts), and one place carries it out
 * (bring.ts). The webhook and `falco-federation inject` both call this. Applying it to its own result gives an empty patch,
 * and with other settings what these would make of the template as it was before.
 *
 * @param template as `readPodTemplate` returns it
 */
export function inject(
  template: PodTemplate,
  effective: EffectiveSettings,
  options: InjectOptions = {},
): Injection {
  const pod = readPod(template, effective);
  const { additions, otherwise } = plan(pod, effective, options);
  const { added, findings } = additions;
  const unchanged = (reason: Finding, others: readonly Finding[]): Injection => ({
    ...{ reason, findings: others, template, patch: [] },
  });
  const isOurs = added.length > 0;
  if (!isOurs && pod.status === undefined) return unchanged(findings[0] ?? otherwise, findings.slice(1));
  const brought = bring(pod, additions);
  const result = isOurs
    ? withStatus(brought, effective, {
        ...{ added, findings: [...(options.foundBefore ?? []), ...findings] },
      })
    : withoutStatus(brought);
  const patch = patchBetween(template, result);
  if (patch.length === 0)
    return isOurs
      ? unchanged({ code: 'already_injected' }, findings)
      : unchanged(findings[0] ?? otherwise, findings.slice(1));
  const reason: Finding = { code: isOurs ? 'injected' : 'taken_out' };
  return { reason, findings, template: result, patch };
}
