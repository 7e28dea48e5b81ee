import type { V1Container, V1EnvFromSource, V1EnvVar } from '@kubernetes/client-node';

/** The values of a Secret by key; `undefined` where it cannot be read, as in the webhook. */
export type SecretOf = (name: string) => ReadonlyMap<string, string> | undefined;

/** A container's environment, and the Secrets that are known beside it. */
export interface Environment {
  readonly container: V1Container;
  readonly secretOf: SecretOf;
}

/**
 * What a container's environment says of a variable. The same name may stand twice in `env`: the last one counts, and
 * beats `envFrom`, where the last source counts.
 *
 * - `text`: a value that is known (absent counts as empty, as the API server stores it). `expands` where it holds a
 *   `$(NAME)`, so that only the kubelet knows all of it; `from` names the Secret, where it does not stand in `env` itself;
 * - `reference`: `valueFrom`, which cannot be read here;
 * - `unread`: not in `env`; Secrets or ConfigMaps of `envFrom` that cannot be read here may set it;
 * - `absent`: nothing sets it.
 */
export type Variable =
  | { readonly kind: 'text'; readonly text: string; readonly expands: boolean; readonly from?: string }
  | { readonly kind: 'reference' }
  | { readonly kind: 'unread'; readonly where: string }
  | { readonly kind: 'absent' };

export function readVariable(environment: Environment, name: string): Variable {
  for (const entry of (environment.container.env ?? []).toReversed()) {
    if (entry.name !== name) continue;
    const variable = readEntry(environment, entry);
    if (variable !== undefined) return variable;
  }
  return readEnvFrom(environment, name);
}

/** `undefined` where the kubelet passes over the entry: an optional key that is not there. */
function readEntry({ secretOf }: Environment, { value, valueFrom }: V1EnvVar): Variable | undefined {
  const plain = value ?? '';
  if (!valueFrom) return { kind: 'text', text: plain, expands: plain.includes('$(') };
  const { name: secret = '', key = '', optional } = valueFrom.secretKeyRef ?? {};
  const values = valueFrom.secretKeyRef ? secretOf(secret) : undefined;
  const text = values?.get(key);
  if (text !== undefined) return { kind: 'text', text, expands: false, from: `Secret ${secret}` };
  return values !== undefined && optional ? undefined : { kind: 'reference' };
}

function readEnvFrom({ container, secretOf }: Environment, name: string): Variable {
  const unread: string[] = [];
  let found: Variable | undefined;
  for (const source of (container.envFrom ?? []).toReversed()) {
    const prefix = source.prefix ?? '';
    if (!name.startsWith(prefix)) continue;
    const values = source.secretRef?.name === undefined ? undefined : secretOf(source.secretRef.name);
    if (values === undefined) {
      unread.unshift(nameOf(source));
      continue;
    }
    // What is in a Secret is not expanded (FACTS 4.1).
    const text = values.get(name.slice(prefix.length));
    if (text === undefined) continue;
    found = { kind: 'text', text, expands: false, from: nameOf(source) };
    break;
  }
  if (unread.length > 0) return { kind: 'unread', where: unread.join(', ') };
  return found ?? { kind: 'absent' };
}

function nameOf({ secretRef, configMapRef }: V1EnvFromSource): string {
  return secretRef ? `Secret ${secretRef.name ?? ''}` : `ConfigMap ${configMapRef?.name ?? ''}`;
}

/** Whether a variable that stands in `env` may hold more than can be read here. */
export function isUnreadable(variable: Variable): boolean {
  return variable.kind === 'reference' || (variable.kind === 'text' && variable.expands);
}

/** The text of a variable as far as it is known. */
export function textOf(variable: Variable): string {
  return variable.kind === 'text' ? variable.text : '';
}

/**
 * What an entry of ours must begin with to keep what the variable holds, where that does not stand in `env` as a plain
 * value: the kubelet puts it in for `$(NAME)`. If there is nothing to put in, the words stay as they are and
 * falcosidekick drops them, as they hold no ":" (FACTS 3.2, 4.1). Nothing of a Secret is ever written out.
 */
export function referenceTo(name: string, variable: Variable): string | undefined {
  const elsewhere =
    variable.kind === 'reference' ||
    variable.kind === 'unread' ||
    (variable.kind === 'text' && variable.from !== undefined && variable.text !== '');
  return elsewhere ? `$(${name})` : undefined;
}

/**
 * The environment with a variable set to a text: in place of the last of that name, else at the end.
 *
 * In place, since `kubectl apply --server-side` refuses a list with two entries of one name. Only a reference that ours
 * refers to stays in front of it.
 */
export function withVariable(environment: Environment, name: string, value: string): Environment {
  const { container } = environment;
  const env = container.env ?? [];
  const at = env.findLastIndex((one) => one.name === name);
  const refersToIt = value.includes(`$(${name})`);
  const after = at < 0 || refersToIt ? [...env, { name, value }] : env.with(at, { name, value });
  return { ...environment, container: { ...container, env: after } };
}
