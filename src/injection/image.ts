/** The last part of an image's name, whatever the registry or mirror: `falco` of `mirror:5000/a/falco:0.44.1`. */
export function imageName(image: string | undefined): string {
  const path = (image ?? '').split('@', 1)[0] ?? '';
  const last = path.slice(path.lastIndexOf('/') + 1);
  return last.split(':', 1)[0] ?? '';
}

/** The tag of an image, `undefined` where it has none (a digest alone, or nothing, which means latest). */
export function imageTag(image: string | undefined): string | undefined {
  const path = (image ?? '').split('@', 1)[0] ?? '';
  const last = path.slice(path.lastIndexOf('/') + 1);
  const colon = last.indexOf(':');
  return colon < 0 ? undefined : last.slice(colon + 1);
}

/** Major and minor number of a version. */
export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** Version from an image's tag (`0.44.1`, `v0.44.1-debian`); `undefined` for a digest, `latest`, `master`, … */
export function imageVersion(image: string | undefined): Version | undefined {
  const match = /^v?(\d+)\.(\d+)(?:[.+-]|$)/.exec(imageTag(image) ?? '');
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** Whether a version is before `major.minor`; an unknown one counts as new. */
export function isBefore(version: Version | undefined, major: number, minor: number): boolean {
  if (version === undefined) return false;
  return version.major < major || (version.major === major && version.minor < minor);
}
