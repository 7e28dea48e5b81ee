import { readFalcoVersion } from '../../rules/configuration/falco-version.ts';
import { imageName, imageTag } from '../image.ts';

/**
 * Minor numbers of Falco whose images we have looked into: docker/ of falcosecurity/falco at their tags
 * (FACTS 2.13). A later one may start Falco in another way, and earlier ones do.
 */
const lookedInto = { first: 40, last: 44 };

/** Upstream's tags: `0.44.1`, `0.44.0-rc2`, `0.44.1-debian`. */
const upstreamTag = /^0\.\d+\.\d+(?:-rc\d+)?(?:-debian)?$/;

/** A mirror keeps the project's folder; a company's own image named falco lies in another. */
function isUpstream(image: string): boolean {
  const [path = ''] = image.split('@', 1);
  return path.split('/').at(-2) === 'falcosecurity' && imageName(image) === 'falco';
}

/**
 * The command that an image starts by itself, where it is known: what must be written out in `args` before anything
 * can be added to it. `latest` and a digest name no version; with one that the user says they are as good as a tag.
 *
 * @param version of Falco where the user says it, by the annotation
 */
export function commandOfImage(
  image: string | undefined,
  version: string | undefined,
): readonly string[] | undefined {
  if (image === undefined || !isUpstream(image)) return undefined;
  const tag = imageTag(image) ?? '';
  const { minor = 0 } = readFalcoVersion(version ?? (upstreamTag.test(tag) ? tag : undefined));
  return minor >= lookedInto.first && minor <= lookedInto.last ? ['/usr/bin/falco'] : undefined;
}
