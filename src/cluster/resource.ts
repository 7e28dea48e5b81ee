import { version } from '../federation/names.ts';

/** What a request is about: all objects of a kind, those of a namespace, or one by name. */
export interface Resource {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  /** Of the named object: `proxy` with the path behind it, as in `proxy/readyz`. */
  readonly subresource?: string;
}

/** What is no object: `/version`, … */
export interface NonResource {
  readonly url: string;
}

/** Verbs as RBAC spells them. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch';

/** Kinds that are looked at all over the cluster, in one namespace, or by name. */
export function core(plural: string, namespace?: string, name?: string): Resource {
  return { group: '', version: 'v1', plural, ...place(namespace, name) };
}

export function apps(plural: string, namespace?: string, name?: string): Resource {
  return { ...core(plural, namespace, name), group: 'apps' };
}

function place(namespace: string | undefined, name: string | undefined) {
  return { ...(namespace === undefined ? {} : { namespace }), ...(name === undefined ? {} : { name }) };
}

export const namespaces = core('namespaces');

/** A port of a pod, through the API server. @param port number, or `https:` and number */
export function podProxy(namespace: string, pod: string, port: string, path: string): Resource {
  const name = port.startsWith('https:') ? `https:${pod}:${port.slice('https:'.length)}` : `${pod}:${port}`;
  return { ...core('pods', namespace, name), subresource: `proxy/${path}` };
}

export function secret(namespace: string, name: string): Resource {
  return core('secrets', namespace, name);
}

export const mutatingWebhookConfigurations: Resource = {
  ...core('mutatingwebhookconfigurations'),
  group: 'admissionregistration.k8s.io',
};

export function mutatingWebhookConfiguration(name: string): Resource {
  return { ...mutatingWebhookConfigurations, name };
}

export function endpointSlices(namespace: string): Resource {
  return { ...core('endpointslices', namespace), group: 'discovery.k8s.io' };
}

export function events(namespace: string, name: string): Resource {
  return { ...core('events', namespace, name), group: 'events.k8s.io' };
}

/** How this program calls itself towards the API server: user agent and owner of the fields that it sets. */
export const userAgent = `falco-federation-webhook/${version}`;
export const fieldManager = 'falco-federation-webhook';

/** Whether the request is about one object that is there, which then stands in the path. */
function isByName(verb: Verb, { subresource }: Resource): boolean {
  return verb === 'get' || verb === 'update' || verb === 'patch' || subresource !== undefined;
}

/** Path and query of a request. A list or watch of a resource with a name selects that one object. */
export function urlPath(
  verb: Verb,
  resource: Resource | NonResource,
  query: Readonly<Record<string, string>>,
): string {
  if ('url' in resource) return resource.url;
  const { group, version: apiVersion, plural, namespace, name, subresource } = resource;
  const path = [
    ...(group === '' ? ['api'] : ['apis', group]),
    apiVersion,
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    plural,
    ...(name !== undefined && isByName(verb, resource) ? [name] : []),
    ...(subresource === undefined ? [] : subresource.split('/')),
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
  return subresource === undefined ? plural : `${plural}/${subresource.split('/', 1)[0]}`;
}

/** A resource as messages name it. */
export function describeResource(resource: Resource | NonResource): string {
  if ('url' in resource) return resource.url;
  const { group, plural, namespace, name, subresource } = resource;
  const kind = group === '' ? plural : `${plural}.${group}`;
  return [
    subresource === undefined ? kind : `${kind}/${subresource}`,
    ...(name === undefined ? [] : [`"${name}"`]),
    ...(namespace === undefined ? [] : [`in namespace "${namespace}"`]),
  ].join(' ');
}

/** One request to the API server. */
export interface ClusterRequest {
  readonly verb: Verb;
  readonly resource: Resource | NonResource;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Content types that are not plain JSON: how a patch is meant; which form of an object is wanted. */
  readonly contentType?: string;
  readonly accept?: string;
}
