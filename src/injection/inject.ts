import type { Operation } from 'fast-json-patch';
import type { Identity } from '../federation/identity.ts';
import { clusterKey, injectLabel, statusAnnotation } from '../federation/names.ts';
import type { Finding } from '../reasons/reasons.ts';
import { type FalcoContainer, findFalco } from './falco/find-falco.ts';
import { injectFalco } from './falco/inject-falco.ts';
import { removeEmptyCustomTags } from './falcosidekick/empty-custom-tags.ts';
import { type FalcosidekickContainer, findFalcosidekick } from './falcosidekick/find-falcosidekick.ts';
import { injectFalcosidekick } from './falcosidekick/inject-falcosidekick.ts';
import type { Part } from './part.ts';
import { patchBetween } from './patch.ts';
import type { PodTemplate } from './pod-template.ts';
import { statusFor } from './status.ts';

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
  readonly secretOf?: (name: string) => ReadonlyMap<string, string> | undefined;
}

function isFinding(value: object): value is Finding {
  return 'code' in value;
}

/** The template with our label and status annotation. */
function withMetadata(template: PodTemplate, identity: Identity, added: readonly string[]): PodTemplate {
  const { metadata } = template;
  const status = statusFor(identity, added);
  const { labels, annotations } = metadata ?? {};
  if (labels?.[clusterKey] === identity.cluster && annotations?.[statusAnnotation] === status)
    return template;
  return {
    ...template,
    metadata: {
      ...metadata,
      labels: { ...labels, [clusterKey]: identity.cluster },
      annotations: { ...annotations, [statusAnnotation]: status },
    },
  };
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

/** Injects what was found, one part after the other. */
function injectParts(template: PodTemplate, found: Found, identity: Identity): Part {
  let part: Part = { template, added: [], findings: found.findings };
  const then = (next: Part): void => {
    part = {
      template: next.template,
      added: [...part.added, ...next.added],
      findings: [...part.findings, ...next.findings],
    };
  };
  if (found.falco !== undefined) then(injectFalco(part.template, found.falco, identity));
  if (found.falcosidekick !== undefined) {
    const { index } = found.falcosidekick;
    const container = part.template.spec.containers[index];
    if (container !== undefined) then(injectFalcosidekick(part.template, { index, container }, identity));
  }
  return part;
}

/**
 * Makes a pod template part of the federation. Pure: no I/O, and the given template is never changed.
 *
 * The webhook and `falco-federation inject` both call this. Applying it to its own result gives an empty patch.
 *
 * @param template as `readPodTemplate` returns it
 */
export function inject(template: PodTemplate, identity: Identity, _options: InjectOptions = {}): Injection {
  const unchanged = (reason: Finding, findings: readonly Finding[] = []): Injection => ({
    reason,
    findings,
    template,
    patch: [],
  });
  if (template.metadata?.labels?.[injectLabel] === 'disabled') return unchanged({ code: 'opted_out' });
  const found = find(template);
  if (found.falco === undefined && found.falcosidekick === undefined) {
    const [first, ...others] = found.findings;
    return unchanged(first ?? { code: 'not_falco' }, others);
  }
  const cleared =
    found.falcosidekick === undefined
      ? { spec: template.spec, operations: [] }
      : removeEmptyCustomTags(template.spec, found.falcosidekick.index);
  const start = cleared.operations.length === 0 ? template : { ...template, spec: cleared.spec };
  const part = injectParts(start, found, identity);
  if (part.added.length === 0 && cleared.operations.length === 0) {
    const [first, ...others] = part.findings;
    return unchanged(first ?? { code: 'nothing_to_add' }, others);
  }
  const result = withMetadata(part.template, identity, part.added);
  const patch = [...cleared.operations, ...patchBetween(start, result)];
  return patch.length === 0
    ? unchanged({ code: 'already_injected' }, part.findings)
    : { reason: { code: 'injected' }, findings: part.findings, template: result, patch };
}
