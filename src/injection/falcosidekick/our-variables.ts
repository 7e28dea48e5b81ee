/**
 * What is ours in a hub's falcosidekick says so itself, so that it can be taken out again and nothing of a user's has to
 * be kept anywhere else: a comment in our templates; and behind a custom field that must not count a third part, with
 * which falcosidekick passes over it (FACTS 3.2).
 */
import type { V1EnvVar } from '@kubernetes/client-node';
import type { Status } from '../status.ts';

const template = '{{/* falco-federation */}}';
const off = ':falco-federation';

/** A part of TEMPLATEDFIELDS. */
export function ourTemplate(key: string, text: string): string {
  return `${key}:${template}${text}`;
}

/** CUSTOMFIELDS with some of the fields switched off; what sets none stays as it is. */
export function withFieldsOff(text: string, keys: ReadonlySet<string>): string {
  const setsOne = (part: string): boolean => {
    const [key = '', ...values] = part.split(':');
    return values.length === 1 && keys.has(key);
  };
  const parts = text.split(',');
  return parts.map((part) => (setsOne(part) ? part + off : part)).join(',');
}

/** Name in the status annotation of a variable that was not there before. */
export function variableAdded(name: string): string {
  return `env/${name}`;
}

/** A variable as its user wrote it; nothing where there was none. */
function asUserWrote(entry: V1EnvVar, { added }: Status): readonly V1EnvVar[] {
  const { name, value } = entry;
  if (!value?.includes('falco-federation')) return [entry];
  const parts = value.split(',');
  if (name === 'CUSTOMFIELDS') {
    const on = parts.map((part) => (part.endsWith(off) ? part.slice(0, -off.length) : part));
    return [{ ...entry, value: on.join(',') }];
  }
  const users = parts.filter((part) => !part.includes(template)).join(',');
  if (name !== 'TEMPLATEDFIELDS' || users === value) return [entry];
  const isNew = users === `$(${name})` || (users === '' && added.includes(variableAdded(name)));
  return isNew ? [] : [{ ...entry, value: users }];
}

/** An environment without what is ours in it. */
export function withoutOurVariables(
  env: NonNullable<readonly V1EnvVar[]>,
  status: Status,
): readonly V1EnvVar[] {
  const users = env.flatMap((entry) => asUserWrote(entry, status));
  return users.length === env.length && users.every((entry, at) => entry === env[at]) ? env : users;
}

/** `wanted`, where nothing is new or gone in the places of `present`: what others have put behind ours is not moved. */
export function inPlacesOf(present: readonly V1EnvVar[], wanted: readonly V1EnvVar[]): readonly V1EnvVar[] {
  const left = Map.groupBy(wanted, ({ name }) => name);
  const inPlace = present.flatMap(({ name }) => left.get(name)?.shift() ?? []);
  return inPlace.length === wanted.length && present.length === wanted.length ? inPlace : wanted;
}
