import { version } from '../federation/names.ts';

/** What a request is about: all objects of a kind, those of a namespace, or one by name. */
export interface Resource {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  /** What of the named object: `eviction`. */
  readonly subresource?: string;
}

/** Verbs as RBAC spells them. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch';

export const namespaces: Resource = { group: '', version: 'v1', plural: 'namespaces' };

export function secret(namespace: string, name: string): Resource {
  return { group: '', version: 'v1', plural: 'secrets', namespace, name };
}

export function mutatingWebhookConfiguration(name: string): Resource {
  return {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    plural: 'mutatingwebhookconfigurations',
    name,
  };
}

export function endpointSlices(namespace: string): Resource {
  return { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', namespace };
}

export function pods(namespace: string): Resource {
  return { group: '', version: 'v1', plural: 'pods', namespace };
}

export function eviction(namespace: string, pod: string): Resource {
  return { ...pods(namespace), name: pod, subresource: 'eviction' };
}

export function events(namespace: string, name: string): Resource {
  return { group: 'events.k8s.io', version: 'v1', plural: 'events', namespace, name };
}

export function lease(namespace: string, name: string): Resource {
  return { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', namespace, name };
}

/** How this program calls itself towards the API server: user agent and owner of the fields that it sets. */
export const userAgent = `falco-federation-webhook/${version}`;
export const fieldManager = 'falco-federation-webhook';

/** Whether the request is about one object that is there, which then stands in the path. */
function isByName(verb: Verb, { subresource }: Resource): boolean {
  return verb === 'get' || verb === 'update' || verb === 'patch' || subresource !== undefined;
}

/** Path and query of a request. A list or watch of a resource with a name selects that one object. */
export function urlPath(verb: Verb, resource: Resource, query: Readonly<Record<string, string>>): string {
  const { group, version: apiVersion, plural, namespace, name, subresource } = resource;
  const path = [
    ...(group === '' ? ['api'] : ['apis', group]),
    apiVersion,
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    plural,
    ...(name !== undefined && isByName(verb, resource) ? [name] : []),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  const selected = name !== undefined && (verb === 'list' || verb === 'watch');
  // RBAC lets a list or watch of a named object pass only with this very selector.
  const parameters = new URLSearchParams({
    ...(selected ? { fieldSelector: `metadata.name=${name}` } : {}),
    ...(verb === 'watch' ? { watch: 'true' } : {}),
    ...query,
  }).toString();
  return `/${path.map(encodeURIComponent).join('/')}${parameters === '' ? '' : `?${parameters}`}`;
}

/** A resource's kind as RBAC spells it. */
export function pluralOf({ plural, subresource }: Resource): string {
  return subresource === undefined ? plural : `${plural}/${subresource}`;
}

/** A resource as messages name it. */
export function describeResource(resource: Resource): string {
  const { group, namespace, name } = resource;
  const plural = pluralOf(resource);
  return [
    group === '' ? plural : `${plural}.${group}`,
    ...(name === undefined ? [] : [`"${name}"`]),
    ...(namespace === undefined ? [] : [`in namespace "${namespace}"`]),
  ].join(' ');
}

/** One request to the API server. */
export interface ClusterRequest {
  readonly verb: Verb;
  readonly resource: Resource;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Content types that are not plain JSON: how a patch is meant; which form of an object is wanted. */
  readonly contentType?: string;
  readonly accept?: string;
}
