/** What texts of the settings stand for, and whether the program and Kubernetes can use them as they are. */

const units: Readonly<Record<string, number>> = {
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, k: 1e3, M: 1e6, G: 1e9 },
};

/** What a Kubernetes quantity such as `10m`, `0.5` or `64Mi` amounts to. */
export function amountOf(quantity: string): number {
  const [, number, unit = ''] = /^([0-9.]+)([A-Za-z]*)$/.exec(quantity) ?? [];
  return Number(number) * (unit === '' ? 1 : unit === 'm' ? 0.001 : (units[unit] ?? Number.NaN));
}

/** Why an address cannot be used; undefined: it can. It is parsed as who connects to it does. */
export function addressProblem(text: string): string | undefined {
  if (!/^https?:\/\/[^/]/.test(text) || /\s/.test(text)) return 'must be an http:// or https:// address';
  // Kubernetes expands $(NAME) in environment variables and arguments.
  if (text.includes('$')) return 'must not contain "$": Kubernetes would expand it';
  if (!URL.canParse(text)) {
    return 'is not a valid address: check the host and the port (1 to 65535); IPv6 addresses go in brackets';
  }
  const { username, password, hash, search, port } = new URL(text);
  if (username !== '' || password !== '') return 'must not contain a user or password: they would be logged';
  if (hash !== '' || search !== '') return 'must not contain "?" or "#"';
  return port === '0' ? 'is not a valid address: port 0 cannot be connected to' : undefined;
}

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
/** A host has a dot, a port, or is localhost: otherwise it is the first part of a name. */
/** Helm reads these patterns too, by Go's regexp: no lookahead, no back references. */
const registry = String.raw`(?:[A-Za-z0-9-]*\.[A-Za-z0-9.-]*(?::[0-9]{1,5})?|[A-Za-z0-9-]+:[0-9]{1,5}|localhost|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?)/`;

/** An image reference as container runtimes parse it: registry, name, one tag, digest. */
export const imageReference = new RegExp(
  `^(?:${registry})?${component}(?:/${component})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`,
);
