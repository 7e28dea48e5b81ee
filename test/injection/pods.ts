import assert from 'node:assert/strict';
import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import fc from 'fast-check';
import type { PodTemplate } from '../../src/injection/pod-template.ts';
import { parseSettings } from '../../src/settings/load.ts';
import { defaultImage, type Settings, withImage } from '../../src/settings/schema.ts';

/** Pods as users have them and as nobody has them, with Falco, falcosidekick, both or neither. */

const names = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);

const falcoArgs = fc.array(
  fc.constantFrom(
    ['-U'],
    ['-c', '/etc/falco/other.yaml'],
    ['-o', 'rules_files[]=/etc/falco/mine.yaml'],
    ['-o', 'rules_files[0]=/etc/falco/mine.yaml'],
    ['-o', 'rules_files=/etc/falco/mine.yaml'],
    ['-o', 'config_files[]=/etc/falco/more.d'],
    ['-o', 'append_output[]={"extra_fields": [{"env": "mine"}]}'],
    ['-o', 'append_output[]={"extra_output": "x"}'],
    ['-r', '/etc/falco/mine.yaml'],
    ['--option=json_output=true'],
  ),
  { maxLength: 3 },
);

const mounts = fc.uniqueArray(
  fc.record(
    {
      name: fc.constantFrom('rulesfiles-install-dir', 'falco-yaml', 'mine', 'host', 'keys', 'claim', 'teams'),
      mountPath: fc.constantFrom(
        '/etc/falco',
        '/etc/falco/',
        '/etc/falco/falco.yaml',
        '/etc/falco/rules.d',
        '/etc/falco/falco.pem',
        '/etc/falco/site',
        '/etc/falco/site/more',
        '/etc',
        '/var',
        '/run/secrets',
        '/rules',
        '/rules/more',
        '/host/etc',
        '/usr/share/falco/plugins',
      ),
      readOnly: fc.boolean(),
      subPath: fc.constantFrom('falco.yaml', 'x'),
    },
    { requiredKeys: ['name', 'mountPath'] },
  ),
  { selector: ({ mountPath }) => mountPath.replace(/\/$/, ''), maxLength: 7 },
);

const environment = fc.array(
  fc.oneof(
    fc.record(
      {
        name: fc.constantFrom(
          'CUSTOMFIELDS',
          'TEMPLATEDFIELDS',
          'CUSTOMTAGS',
          'PROMETHEUS_EXTRALABELS',
          'DEBUG',
        ),
        value: fc.constantFrom(
          '',
          'env:mine',
          'team:blue',
          'env:{{ .x }}',
          'env',
          'a,b',
          'x:$(Y)',
          'https://mine.example',
        ),
      },
      { requiredKeys: ['name'] },
    ),
    fc.record({
      name: fc.constantFrom('CUSTOMFIELDS', 'TEMPLATEDFIELDS', 'CUSTOMTAGS'),
      valueFrom: fc.constant({ secretKeyRef: { name: 'mine', key: 'x' } }),
    }),
  ),
  { maxLength: 6 },
);

const falco: fc.Arbitrary<V1Container> = fc
  .record({
    image: fc.constantFrom(
      'falcosecurity/falco:0.44.1',
      'm.example:5000/falco:0.41.0-debian',
      'falcosecurity/falco:0.40.0',
      'falcosecurity/falco-no-driver:0.38.2',
      'falcosecurity/falco:0.36.0',
      'falcosecurity/falco',
    ),
    // Without any, the image's own command runs.
    args: fc.option(falcoArgs, { nil: undefined, freq: 8 }),
    volumeMounts: mounts,
  })
  .map(({ image, args, volumeMounts }) => ({
    name: 'falco',
    image,
    ...(args === undefined ? {} : { args: ['/usr/bin/falco', ...args.flat()] }),
    volumeMounts,
  }));

const falcosidekick: fc.Arbitrary<V1Container> = environment.map((env) => ({
  name: 'falcosidekick',
  image: 'falcosecurity/falcosidekick:2.32.0',
  env,
}));

const foreign: fc.Arbitrary<V1Container> = fc.record({
  name: names.map((name) => `x-${name}`),
  image: fc.constantFrom('nginx:1.29', 'falcosecurity/falcoctl:0.13.0', 'busybox'),
  command: fc.constant(['sleep', '1']),
});

const byName = { selector: ({ name }: { name: string }) => name };

export const podTemplates: fc.Arbitrary<PodTemplate> = fc
  .record({
    ours: fc.constantFrom('falco', 'falcosidekick', 'both', 'neither'),
    falco,
    falcosidekick,
    before: fc.uniqueArray(foreign, { ...byName, maxLength: 2 }),
    after: fc.constantFrom(
      [],
      [{ name: 'falcoctl-artifact-follow', image: 'falcosecurity/falcoctl:0.13.0' }],
    ),
    initContainers: fc.option(
      fc
        .uniqueArray(foreign, { ...byName, maxLength: 2 })
        .map((list) => list.map((one) => ({ ...one, name: `init-${one.name}` }))),
      { nil: undefined },
    ),
    metadata: fc.option(
      fc.record(
        { labels: fc.dictionary(names, names), annotations: fc.dictionary(names, names) },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
    withVolumes: fc.boolean(),
    restartPolicy: fc.constantFrom(undefined, 'Always', 'Never'),
  })
  .map(
    ({ ours, falco, falcosidekick, before, after, initContainers, metadata, withVolumes, restartPolicy }) => {
      const containers = [
        ...before,
        ...(ours === 'falco' || ours === 'both' ? [falco] : []),
        ...(ours === 'falcosidekick' || ours === 'both' ? [falcosidekick] : []),
        ...after,
      ];
      const volumes = [
        { name: 'rulesfiles-install-dir', emptyDir: {} },
        { name: 'falco-yaml', configMap: { name: 'falco' } },
        { name: 'mine', configMap: { name: 'mine' } },
        { name: 'host', hostPath: { path: '/etc' } },
        { name: 'keys', secret: { secretName: 'keys' } },
        { name: 'claim', persistentVolumeClaim: { claimName: 'mine' } },
        { name: 'teams', projected: { sources: [{ configMap: { name: 'blue' } }] } },
      ];
      // As from the API server: plain objects, nothing shared, nothing undefined.
      return JSON.parse(
        JSON.stringify({
          ...(metadata === undefined ? {} : { metadata }),
          spec: {
            restartPolicy,
            containers: containers.length > 0 ? containers : [{ name: 'web', image: 'nginx' }],
            ...(initContainers === undefined ? {} : { initContainers }),
            ...(withVolumes || ours !== 'neither' ? { volumes } : {}),
          },
        }),
      );
    },
  );

export const settingsTexts = fc.constantFrom(
  'cluster: staging\nhub: {address: "https://hub.example"}\n',
  'cluster: obsrv\nrole: hub\n',
  'cluster: staging\nrules: {startup: alongside}\n',
  'cluster: staging\nrules: {inImage: leave}\n',
  'cluster: staging\nrules: {imagePullSecrets: [a, b]}\n',
  'cluster: staging\nrules: {enabled: false}\n',
  'cluster: staging\nlabels: {env: staging, region: eu}\ntags: [a, b]\nrules: {resources: {limits: {cpu: 1000m, memory: 1Gi}}}\n',
);

export function settingsFrom(text: string): Settings {
  const result = parseSettings(text);
  assert.ok(result.ok);
  return withImage(result.settings, defaultImage);
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(deepFreeze);
}

/** A copy that throws when anybody writes to it. */
export function frozen<T>(value: T): T {
  const copy = structuredClone(value);
  deepFreeze(copy);
  return copy;
}

function assertUnique(values: readonly string[], what: string): void {
  assert.deepEqual(values, [...new Set(values)], `${what} twice`);
}

function assertMounts(container: V1Container, spec: V1PodSpec, checkAll: boolean): void {
  const list = container.volumeMounts ?? [];
  assertUnique(
    list.map(({ mountPath }) => mountPath),
    `a mount path in ${container.name}`,
  );
  for (const mount of list) {
    const ours = mount.name.startsWith('falco-federation');
    if (!checkAll && !ours) continue;
    assert.ok(
      spec.volumes?.some(({ name }) => name === mount.name),
      `${container.name}: no volume ${mount.name}`,
    );
    const folder = `${mount.mountPath.replace(/\/$/, '')}/`;
    const below = list.filter((other) => other !== mount && other.mountPath.startsWith(folder));
    assert.ok(!(checkAll && mount.readOnly && below.length > 0), 'FACTS 4.8: a mount below a read-only one');
  }
}

/** What a pod of ours must not have if it is to end, and what a runtime could not create (FACTS 4.8). */
function assertEnds(spec: V1PodSpec): void {
  if (spec.restartPolicy === undefined || spec.restartPolicy === 'Always') return;
  assert.ok(!spec.containers.some(({ name }) => name.startsWith('falco-federation-')), 'it never ends');
}

/** kubelet's own volumes are read-only whatever the mount says: nothing of ours may lie below one. */
function assertOurMountPoints(container: V1Container, spec: V1PodSpec): void {
  const mounts = container.volumeMounts ?? [];
  for (const ours of mounts.filter(({ name }) => name.startsWith('falco-federation'))) {
    for (const { name, mountPath, readOnly } of mounts) {
      if (!ours.mountPath.startsWith(`${mountPath.replace(/\/$/, '')}/`)) continue;
      const volume = spec.volumes?.find((one) => one.name === name);
      assert.ok(
        !readOnly && !volume?.configMap && !volume?.secret && !volume?.projected,
        `below ${mountPath}`,
      );
    }
  }
  const token = mounts.find(({ mountPath }) => mountPath.endsWith('/serviceaccount'))?.name;
  if (container.name.startsWith('falco-federation-')) assert.equal(token, 'falco-federation-no-token');
}

/** A command from a volume keeps the pod from starting if nothing has put it there, and a copy must come before its use. */
function assertOrder(spec: V1PodSpec): void {
  const ours = ['place-copier', 'copy-rules', 'tag-rules'].map((name) => `falco-federation-${name}`);
  const present = (spec.initContainers ?? []).map(({ name }) => name).filter((name) => ours.includes(name));
  assert.ok(present.length === 0 || present.join() === ours.slice(-present.length).join(), present.join());
  assert.notEqual(present.length, 2, 'a copy without its program');
}

/** What the API server, the runtime and PodSecurity "restricted" ask of what we add (FACTS 4, 5). */
export function assertAcceptable(spec: V1PodSpec): void {
  assertOrder(spec);
  assertEnds(spec);
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  assertUnique(
    all.map(({ name }) => name),
    'a container name',
  );
  assertUnique(
    (spec.volumes ?? []).map(({ name }) => name),
    'a volume name',
  );
  for (const container of all) {
    const ours = container.name.startsWith('falco-federation-');
    assertMounts(container, spec, ours);
    assertOurMountPoints(container, spec);
    if (!ours) continue;
    const { securityContext, resources } = container;
    assert.equal(securityContext?.allowPrivilegeEscalation, false);
    assert.equal(securityContext?.readOnlyRootFilesystem, true);
    assert.deepEqual(securityContext?.capabilities, { drop: ['ALL'] });
    assert.equal(securityContext?.seccompProfile?.type, 'RuntimeDefault');
    assert.ok(resources?.limits?.memory && resources.limits.cpu);
    for (const mount of container.volumeMounts ?? []) assert.equal(mount.mountPropagation, undefined);
  }
}
