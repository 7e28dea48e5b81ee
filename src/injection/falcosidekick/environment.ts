import type { V1Container, V1EnvVar } from '@kubernetes/client-node';

/**
 * What a container's environment says of a variable. The same name may stand twice in `env`: the last one counts.
 *
 * - `text`: a plain value (absent counts as empty, as the API server stores it); `expands` where it holds a
 *   `$(NAME)`, so that only the kubelet knows all of it;
 * - `reference`: `valueFrom`, which cannot be read here;
 * - `absent`: not in `env`; `envFrom` may still set it.
 */
export type Variable =
  | { readonly kind: 'text'; readonly text: string; readonly expands: boolean }
  | { readonly kind: 'reference' }
  | { readonly kind: 'absent' };

export function readVariable(container: V1Container, name: string): Variable {
  const entry = (container.env ?? []).findLast((one) => one.name === name);
  if (entry === undefined) return { kind: 'absent' };
  if (entry.valueFrom) return { kind: 'reference' };
  const text = entry.value ?? '';
  return { kind: 'text', text, expands: text.includes('$(') };
}

/** Whether a variable may hold more than can be read here. */
export function isUnreadable(variable: Variable): boolean {
  return variable.kind === 'reference' || (variable.kind === 'text' && variable.expands);
}

/**
 * The container with a variable set to a text: in its last plain entry if it has one, else in a new one at the end.
 *
 * A new entry beats `envFrom` and earlier entries, and may refer to what they say as `$(NAME)` (FACTS 4.1).
 */
export function withVariable(container: V1Container, name: string, text: string): V1Container {
  return withEntry(container, { name, value: text });
}

/** As `withVariable`, with a whole entry: for values from Secrets. */
export function withEntry(container: V1Container, entry: V1EnvVar): V1Container {
  const env = container.env ?? [];
  const at = env.findLastIndex((one) => one.name === entry.name);
  const found = env[at];
  if (found === undefined || (found.valueFrom && !entry.valueFrom))
    return { ...container, env: [...env, entry] };
  if (JSON.stringify(found) === JSON.stringify(entry)) return container;
  return { ...container, env: env.map((one, index) => (index === at ? { ...one, ...entry } : one)) };
}
