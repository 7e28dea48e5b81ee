import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { Finding } from '../../reasons/reasons.ts';
import { imageName } from '../image.ts';

/** The container that runs Falco, and the arguments that Falco itself gets. */
export interface FalcoContainer {
  /** Index in `spec.containers`. */
  readonly index: number;
  readonly container: V1Container;
  /** Falco's own arguments: what follows the program's name. */
  readonly args: readonly string[];
  /** Whether the program's name must be written out when arguments are added (see `programOf`). */
  readonly programImplied: boolean;
}

type Program =
  | { readonly kind: 'falco'; readonly args: readonly string[]; readonly implied: boolean }
  | { readonly kind: 'other' }
  | { readonly kind: 'unclear' };

const shells = new Set(['sh', 'bash', 'ash', 'dash', 'busybox']);

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isFalcoImage(image: string | undefined): boolean {
  return /^falco(-no-driver|-distroless)?$/.test(imageName(image));
}

/**
 * What a container runs, as far as its command, args and image tell:
 *
 * | command      | args             | runs                                             |
 * | ------------ | ---------------- | ------------------------------------------------ |
 * | a shell      | –                | unclear: it would not hand new arguments on      |
 * | … falco …    | –                | Falco, arguments follow the word                 |
 * | entrypoint   | … falco …        | the same                                         |
 * | absent       | begin with `-`   | the image's entrypoint: Falco in a Falco image   |
 * | absent       | absent           | the image's default, which args would replace    |
 * | anything else                 || another program                                  |
 */
function programOf(container: V1Container): Program {
  const command = container.command ?? [];
  const words = [...command, ...(container.args ?? [])];
  if (shells.has(baseName(words[0] ?? ''))) {
    return words.some((word) => /\bfalco\b/.test(word)) ? { kind: 'unclear' } : { kind: 'other' };
  }
  const at = words.findIndex((word) => baseName(word) === 'falco');
  if (at >= 0) {
    const args = words.slice(at + 1);
    // After a bare `--` nothing that we add would be an option any more.
    return args.includes('--') ? { kind: 'unclear' } : { kind: 'falco', args, implied: false };
  }
  return command.length === 0 ? programOfImage(container.image, words) : { kind: 'other' };
}

/** What an image runs by itself, given these args. */
function programOfImage(image: string | undefined, args: readonly string[]): Program {
  if (args.length === 0)
    return isFalcoImage(image) ? { kind: 'falco', args, implied: true } : { kind: 'unclear' };
  return isFalcoImage(image) && args[0]?.startsWith('-')
    ? { kind: 'falco', args, implied: false }
    : { kind: 'other' };
}

/**
 * Finds Falco in a pod: by the container's name, by its image's name behind any mirror, by what it runs; never
 * by its position (FACTS 5: wrong container picked).
 *
 * @returns the container; or the reason why none can be told; or `undefined` where there is no Falco at all
 */
export function findFalco(spec: V1PodSpec): FalcoContainer | Finding | undefined {
  const candidates = spec.containers.flatMap((container, index) => {
    const program = programOf(container);
    const named = container.name === 'falco';
    const looksLikeFalco =
      program.kind === 'falco' || named || (program.kind === 'unclear' && isFalcoImage(container.image));
    return looksLikeFalco ? [{ index, container, program }] : [];
  });
  const [first, second] = candidates;
  if (first === undefined) return undefined;
  if (second !== undefined) {
    return {
      code: 'falco_ambiguous',
      detail: candidates.map(({ container }) => container.name).join(', '),
    };
  }
  const { index, container, program } = first;
  if (program.kind !== 'falco') {
    return { code: 'falco_command_unclear', detail: `container ${container.name}` };
  }
  return { index, container, args: program.args, programImplied: program.implied };
}
