/** Which Falco an image's tag, an annotation or a flag names, and what it does otherwise than others (FACTS 1.4, 1.5, 1.13). */
export interface FalcoVersion {
  /** 44 of `0.44.1`; undefined where the text does not say it: the newest behaviour is assumed. */
  readonly minor: number | undefined;
  /** Before 0.38 there is no `config_files`, hence no drop-in. */
  readonly readsDropIns: boolean;
  /** From 0.41: options apply after drop-ins, strategies exist; before: options first, drop-ins replace keys. */
  readonly optionsAfterDropIns: boolean;
  /** From 0.39: `-o key={…}` is an object. */
  readonly objectOptions: boolean;
  /** From 0.41 only .yaml and .yml are rules files; before, any file is. */
  readonly onlyYamlEndings: boolean;
}

/** At the beginning, or behind the word `falco` wherever it stands: images with numbers of their own name Falco's so. */
const numbers = [/^v?0\.(\d+)(?=[.-]|$)/, /(?<![a-z])falco[-_.]?v?0\.(\d+)(?=[^\d]|$)/i];

/**
 * `0.44.1`, `v0.40.0`, `0.44.1-debian`, `falco-0.40.0`, `1.0.0-falco0.39.2`. Anything else (`latest`, a digest, `1.2.3`,
 * nothing) does not say it.
 */
export function readFalcoVersion(text: string | undefined): FalcoVersion {
  const read = numbers.flatMap((number) => number.exec(text ?? '')?.[1] ?? [])[0];
  const minor = read === undefined ? undefined : Number(read);
  const isFrom = (first: number) => minor === undefined || minor >= first;
  return {
    minor,
    readsDropIns: isFrom(38),
    optionsAfterDropIns: isFrom(41),
    objectOptions: isFrom(39),
    onlyYamlEndings: isFrom(41),
  };
}
