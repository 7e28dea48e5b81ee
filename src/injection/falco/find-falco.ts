import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { Finding } from '../../reasons/reasons.ts';
import { type FalcoArguments, readFalcoArguments } from '../../rules/configuration/falco-arguments.ts';
import { type Signs, signsOf } from './container-program.ts';

/** The container that runs Falco, and the arguments that Falco itself gets. */
export interface FalcoContainer {
  /** Index in `spec.containers`. */
  readonly index: number;
  readonly container: V1Container;
  /** Falco's own arguments: what follows the program's name. */
  readonly args: readonly string[];
  /** What they say. */
  readonly given: FalcoArguments;
  /** Whether the image's own command starts Falco, so that arguments would replace it. */
  readonly byImage: boolean;
}

interface Candidate extends Signs {
  readonly index: number;
  readonly container: V1Container;
  readonly given: FalcoArguments | undefined;
}

/** How many of the three signs a candidate shows. */
function rankOf({ program, image, name }: Candidate): number {
  return Number(program.kind === 'falco') + Number(image) + Number(name);
}

function candidate(container: V1Container, index: number): Candidate {
  const signs = signsOf(container);
  const { program } = signs;
  return {
    ...{ ...signs, index, container },
    given: program.kind === 'falco' ? readFalcoArguments(program.args) : undefined,
  };
}

/** The candidates that show the most signs. */
function foremost(candidates: readonly Candidate[]): readonly Candidate[] {
  const rank = candidates.reduce((most, one) => Math.max(most, rankOf(one)), 0);
  return candidates.filter((candidate) => rankOf(candidate) === rank);
}

/**
 * Finds Falco in a pod by what it runs, by its image's name behind any mirror and by its own name: `signsOf` has the
 * table. Never by its position (FACTS 5: wrong container picked). Of several that may be Falco the one with the most
 * signs is; a Falco that only looks counts where no other is there.
 *
 * @returns the container; or the reason why none is to be changed; or `undefined` where there is no Falco at all
 */
export function findFalco(spec: V1PodSpec): FalcoContainer | Finding | undefined {
  const candidates = spec.containers.map(candidate).filter(({ program }) => program.kind !== 'other');
  const running = candidates.filter(({ given }) => given?.looks === undefined);
  const [first, ...others] = foremost(running);
  if (first === undefined) return looksOnly(candidates);
  if (others.length > 0) {
    const names = [first, ...others].slice(0, 5).map(({ container }) => container.name);
    const more = others.length < 5 ? '' : ` and ${others.length - 4} more`;
    return { code: 'falco_ambiguous', detail: `${names.join(', ')}${more}` };
  }
  const { index, container, program, given } = first;
  if (program.kind !== 'falco' || given === undefined) {
    return { code: 'falco_command_unclear', detail: `container ${container.name}` };
  }
  return { index, container, args: program.args, given, byImage: program.byImage };
}

function looksOnly([first]: readonly Candidate[]): Finding | undefined {
  if (first === undefined) return undefined;
  return {
    code: 'falco_only_looks',
    detail: `container ${first.container.name}: ${first.given?.looks}`,
  };
}
