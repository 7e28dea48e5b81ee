/** What changed between Falco's versions that this room must know (FACTS 1.4, 1.5, 1.13). */
export interface FalcoBehaviour {
  /** Before 0.38 there is no `config_files`, hence no drop-in. */
  readonly readsDropIns: boolean;
  /** From 0.41: options apply after drop-ins, strategies exist; before: options first, drop-ins replace keys. */
  readonly optionsAfterDropIns: boolean;
  /** From 0.39: `-o key={…}` is an object. */
  readonly objectOptions: boolean;
  /** From 0.41 only .yaml and .yml are rules files; before, any file is. */
  readonly onlyYamlEndings: boolean;
}

/** `0.44.1`, `v0.40.0`, `0.44.1-debian`; anything else (`latest`, a digest, undefined) counts as new. */
export function falcoBehaviour(version: string | undefined): FalcoBehaviour {
  const match = /^v?(\d+)\.(\d+)(?:[.-]|$)/.exec(version ?? '');
  const minor = match === null || Number(match[1]) > 0 ? Number.POSITIVE_INFINITY : Number(match[2]);
  return {
    readsDropIns: minor >= 38,
    optionsAfterDropIns: minor >= 41,
    objectOptions: minor >= 39,
    onlyYamlEndings: minor >= 41,
  };
}
