import type { V1Container } from '@kubernetes/client-node';
import { imageName } from '../image.ts';

/**
 * What a container runs, as far as its command, args and image tell.
 *
 * The API server asks the same of each container before it sends a pod (matchConditions in
 * manifests/base/webhook-configuration.yaml and components/workloads/webhook.yaml), so the patterns here are in what
 * JavaScript and RE2 both know, and are in those files letter for letter. They look at command and args as one text,
 * its words divided by `separator`, as far as `reach`: the API server lets a condition cost only so much, and a pod's
 * arguments may be long.
 */

export const separator = '\x1f';
export const reach = 1000;

/** Programs that start what follows them, with options of their own; and one that takes none before it. */
const wrappers = String.raw`(([^\x1f]*/)?((tini|tini-static|docker-init|catatonit|dumb-init|env|nice|ionice|nohup|setsid|stdbuf)\x1f((-[^\x1f]*|[A-Za-z_][A-Za-z0-9_]*=[^\x1f]*|[A-Z0-9:]+)\x1f)*|docker-entrypoint\.sh\x1f))*`;

/**
 * Falco as the program that is started. A path counts where programs lie: `/etc/falco`, `/var/log/falco` and
 * `daemonset/falco` are what others work on.
 */
export const startsFalco = String.raw`^${wrappers}(\./|/|/([^\x1f]*/)?s?bin/|/(opt|app|nix)/([^\x1f]*/)?)?falco(\x1f|$)`;

/** A program that may start Falco, but does not let us see how: a shell, a script, an entrypoint of somebody's own. */
export const mayStartFalco = String.raw`^${wrappers}([^\x1f]*/)?(sh|bash|ash|dash|busybox|falco|[^\x1f/]*\.sh|[^\x1f/]*entrypoint[^\x1f/]*)(\x1f|$)`;

/** Falco as a command in a shell's script. */
export const callsFalco = String.raw`(^|[\s;&|(\x22\x27\x60]|bin/)falco($|[\s;&|)\x22\x27\x60])`;

/** Images of Falco, behind any mirror. */
export const falcoImages: readonly string[] = ['falco', 'falco-no-driver', 'falco-distroless'];

const patterns = {
  startsFalco: new RegExp(startsFalco),
  mayStartFalco: new RegExp(mayStartFalco),
  callsFalco: new RegExp(callsFalco),
};

/** What a container runs, and how sure that is. */
export type Program =
  | {
      readonly kind: 'falco';
      /** Falco's own arguments: what follows the program's name. */
      readonly args: readonly string[];
      /** Whether the image's own command starts Falco: arguments would replace it. */
      readonly byImage: boolean;
    }
  /** Perhaps Falco; arguments of ours might not reach it. */
  | { readonly kind: 'unclear' }
  | { readonly kind: 'other' };

const other: Program = { kind: 'other' };
const unclear: Program = { kind: 'unclear' };

function runs(args: readonly string[], byImage: boolean): Program {
  // After a bare `--` nothing that we add would be an option any more.
  return args.includes('--') ? unclear : { kind: 'falco', args, byImage };
}

/** A container's words as the patterns see them. */
function lineOf(words: readonly string[]): string {
  return words.join(separator).slice(0, reach);
}

/** What follows Falco's name in a container's words; `undefined` where Falco is not what is started. */
function argumentsAfterFalco(words: readonly string[]): readonly string[] | undefined {
  if (!words.some((word) => word === 'falco' || word.endsWith('/falco'))) return undefined;
  const [start] = patterns.startsFalco.exec(lineOf(words)) ?? [];
  if (start === undefined) return undefined;
  const before = start.endsWith(separator) ? start.slice(0, -1) : start;
  return words.slice(before.split(separator).length);
}

/** A command in the pod replaces the image's entrypoint; args that begin with an option are for that entrypoint. */
function leavesImageItsEntrypoint({ command, args }: V1Container): boolean {
  return !command?.length && (!args?.length || args[0]?.startsWith('-') === true);
}

/** Which of the three signs of Falco a container shows. */
export interface Signs {
  readonly program: Program;
  readonly image: boolean;
  readonly name: boolean;
}

/**
 * | starts                              | image of Falco | named falco | taken for                          |
 * | ----------------------------------- | -------------- | ----------- | ---------------------------------- |
 * | Falco, by itself or behind wrappers | any            | any         | Falco                              |
 * | what the image starts               | yes            | any         | Falco                              |
 * |                                     | no             | yes         | unclear: an image of one's own     |
 * |                                     | no             | no          | another program                    |
 * | a shell or a script                 | any            | yes         | unclear: it may start Falco        |
 * | a shell or a script that calls it   | yes            | no          | unclear: ours would not reach it   |
 * | another program                     | yes            | yes         | unclear: two signs of three        |
 * | anything else                       |                |             | another program                    |
 *
 * So a container that is merely named falco and runs kubectl, a log shipper on /var/log/falco, and a `sleep` in
 * Falco's image are nobody's business.
 */
export function signsOf(container: V1Container): Signs {
  const image = falcoImages.includes(imageName(container.image));
  const name = container.name === 'falco';
  return { program: programOf(container, image, name), image, name };
}

function programOf(container: V1Container, image: boolean, name: boolean): Program {
  const words = [...(container.command ?? []), ...(container.args ?? [])];
  const args = argumentsAfterFalco(words);
  if (args !== undefined) return runs(args, false);
  if (!image && !name) return other;
  if (leavesImageItsEntrypoint(container)) return image ? runs(words, words.length === 0) : unclear;
  if (image && name) return unclear;
  const mayStart = patterns.mayStartFalco.test(lineOf(words));
  return mayStart && (name || words.some((word) => patterns.callsFalco.test(word))) ? unclear : other;
}
