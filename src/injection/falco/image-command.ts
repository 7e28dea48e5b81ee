import { readFalcoVersion } from '../../rules/configuration/falco-version.ts';
import { imageName, imageTag } from '../image.ts';

/**
 * Minor numbers of Falco whose images we have looked into: docker/ of falcosecurity/falco at their tags
 * (FACTS 2.13). A later one may start Falco in another way.
 */
const lookedInto = { first: 38, last: 44 };

/** Upstream's tags: `0.44.1`, `0.44.0-rc2`, `0.44.1-debian`; `0.38.1-slim` is falco-no-driver under another name. */
const upstreamTag = /^0\.\d+\.\d+(?:-rc\d+)?(?:-debian|-slim)?$/;

/** A mirror keeps the project's folder; a company's own image named falco lies in another. */
function isUpstream(image: string): boolean {
  const [path = ''] = image.split('@', 1);
  return path.split('/').at(-2) === 'falcosecurity';
}

/** The minor number of an image whose command was looked into. */
function minorOf(tag: string | undefined, version: string | undefined): number | undefined {
  const { minor = 0 } = readFalcoVersion(version ?? (upstreamTag.test(tag ?? '') ? tag : undefined));
  return minor >= lookedInto.first && minor <= lookedInto.last ? minor : undefined;
}

/**
 * The command that an image starts by itself, where it is known: what must be written out in `args` before anything
 * can be added to it.
 *
 * | image of falcosecurity/                       | version    | command                                     |
 * | --------------------------------------------- | ---------- | ------------------------------------------- |
 * | falco                                         | 0.38, 0.39 | /usr/bin/falco                              |
 * | falco-no-driver, falco-distroless, falco:…-slim | 0.38, 0.39 | /usr/bin/falco -o time_format_iso_8601=true |
 * | falco                                         | 0.40 on    | /usr/bin/falco                              |
 * | anything else, and anybody else's             |            | not known                                   |
 *
 * `latest` and a digest name no version; with one that the user says they are as good as a tag, but for a digest of
 * 0.38 or 0.39, which may be the slim image's.
 *
 * @param version of Falco where the user says it, by the annotation
 */
export function commandOfImage(
  image: string | undefined,
  version: string | undefined,
): readonly string[] | undefined {
  if (image === undefined || !isUpstream(image)) return undefined;
  const tag = imageTag(image);
  const minor = minorOf(tag, version);
  if (minor === undefined) return undefined;
  const plain = ['/usr/bin/falco'];
  const isFalco = imageName(image) === 'falco';
  if (minor >= 40) return isFalco ? plain : undefined;
  if (!isFalco || tag?.endsWith('-slim')) return [...plain, '-o', 'time_format_iso_8601=true'];
  return tag === undefined ? undefined : plain;
}
