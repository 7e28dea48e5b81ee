import type { Operation } from 'fast-json-patch';
import type { EffectiveSettings } from '../federation/effective-settings.ts';
import { injectLabel } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { type FalcoContainer, findFalco } from './falco/find-falco.ts';
import { injectFalco, withoutMadeUpArguments } from './falco/inject-falco.ts';
import type { SecretOf } from './falcosidekick/environment.ts';
import { type FalcosidekickContainer, findFalcosidekick } from './falcosidekick/find-falcosidekick.ts';
import { injectFalcosidekick } from './falcosidekick/inject-falcosidekick.ts';
import { withoutLeftovers, withoutOldContents } from './forget.ts';
import type { Part } from './part.ts';
import { patchBetween } from './patch.ts';
import type { PodTemplate, SeenAs } from './pod-template.ts';
import { readStatus, withoutStatus, withStatus } from './status.ts';

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

function isFinding(value: object): value is Finding {
  return 'code' in value;
}

interface Found {
  readonly falco: FalcoContainer | undefined;
  readonly falcosidekick: FalcosidekickContainer | undefined;
  readonly findings: readonly Finding[];
}

function find({ spec }: PodTemplate): Found {
  const falco = findFalco(spec);
  const falcosidekick = findFalcosidekick(spec);
  return {
    falco: falco !== undefined && !isFinding(falco) ? falco : undefined,
    falcosidekick: falcosidekick !== undefined && !isFinding(falcosidekick) ? falcosidekick : undefined,
    findings: [falco, falcosidekick].filter((one) => one !== undefined).filter(isFinding),
  };
}

/** What `inject` can know beside the template. */
export interface InjectOptions {
  /** Values of a Secret in the template's namespace, by key; `undefined` for one that is not known. */
  readonly secretOf?: SecretOf;
  readonly seenAs?: SeenAs;
  /** What was found while the effective was worked out: the status annotation names it too. */
  readonly foundBefore?: readonly Finding[];
}

/** Injects what was found, one part after the other. */
function injectParts(
  template: PodTemplate,
  found: Found,
  effective: EffectiveSettings,
  { secretOf = () => undefined, seenAs = 'file' }: InjectOptions,
): Part {
  let part: Part = { template, added: [], findings: found.findings };
  const then = (next: Part): void => {
    part = {
      ...next,
      added: [...part.added, ...next.added],
      findings: [...part.findings, ...next.findings],
      ...(part.records === undefined ? {} : { records: { ...part.records, ...next.records } }),
    };
  };
  if (found.falco !== undefined) then(injectFalco(part.template, found.falco, effective, seenAs));
  if (found.falcosidekick !== undefined) {
    const { index } = found.falcosidekick;
    const container = part.template.spec.containers[index];
    if (container !== undefined) {
      then(injectFalcosidekick(part.template, { index, container }, effective, secretOf));
    }
  }
  return part;
}

/**
 * Makes a pod template part of the federation. Pure: no I/O, and the given template is never changed.
 *
 * The webhook and `falco-federation inject` both call this. Applying it to its own result gives an empty patch, and
 * with other settings what these would make of the template as it was before (forget.ts).
 *
 * @param template as `readPodTemplate` returns it
 */
export function inject(
  template: PodTemplate,
  effective: EffectiveSettings,
  options: InjectOptions = {},
): Injection {
  const unchanged = (reason: Finding, findings: readonly Finding[] = []): Injection => ({
    reason,
    findings,
    template,
    patch: [],
  });
  if (template.metadata?.labels?.[injectLabel] === 'disabled') return unchanged({ code: 'opted_out' });
  const start = withoutOldContents(withoutMadeUpArguments(template), effective);
  const found = find(start);
  if (found.falco === undefined && found.falcosidekick === undefined) {
    const [first, ...others] = found.findings;
    return unchanged(first ?? { code: 'not_falco' }, others);
  }
  const part = injectParts(start, found, effective, options);
  const isOurs = part.added.length > 0 || Object.keys(part.records ?? {}).length > 0;
  const rest = withoutLeftovers(part.template, readStatus(template), part.added);
  const result = isOurs
    ? withStatus(rest, effective, { ...part, findings: [...(options.foundBefore ?? []), ...part.findings] })
    : withoutStatus(rest);
  const patch = patchBetween(template, result);
  if (patch.length > 0) {
    const reason: Finding = { code: isOurs ? 'injected' : 'taken_out' };
    return { reason, findings: part.findings, template: result, patch };
  }
  if (isOurs) return unchanged({ code: 'already_injected' }, part.findings);
  const [first, ...others] = part.findings;
  return unchanged(first ?? { code: 'nothing_to_add' }, others);
}
