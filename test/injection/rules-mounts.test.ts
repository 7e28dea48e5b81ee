import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Container, V1Pod, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import fastJsonPatch from 'fast-json-patch';
import { injectObject } from '../../src/admission/inject-object.ts';
import { readStatus } from '../../src/injection/status.ts';
import { assertAcceptable, settingsFrom } from './pods.ts';
import { recordedReviews } from './reviews.ts';

const follower = 'falco-federation-follow-rules';
const tagger = 'falco-federation-tag-rules';
const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount';

type Source = Omit<V1Volume, 'name'>;
type Mount = Partial<Omit<V1VolumeMount, 'mountPath'>> & { readonly at: string; readonly of: Source };

/** A Falco pod whose /etc/falco is an emptyDir, with more mounts. */
function podWith(
  mounts: readonly Mount[],
  more: Partial<V1PodSpec> = {},
  args: readonly string[] = [],
): V1Pod {
  const named = mounts.map(({ of, at, ...mount }, nth) => ({
    volume: { name: `mine-${nth}`, ...of },
    mount: { name: `mine-${nth}`, mountPath: at, ...mount },
  }));
  return {
    spec: {
      ...more,
      containers: [
        {
          name: 'falco',
          image: 'falcosecurity/falco:0.44.1',
          args: ['/usr/bin/falco', ...args],
          volumeMounts: [{ name: 'etc', mountPath: '/etc/falco' }, ...named.map(({ mount }) => mount)],
        },
        ...(more.containers ?? []),
      ],
      volumes: [{ name: 'etc', emptyDir: {} }, ...named.map(({ volume }) => volume), ...(more.volumes ?? [])],
    },
  };
}

/** What comes out of the injection of a pod: it must be one that starts, and stay as it is when injected again. */
function injected(pod: V1Pod, settings = 'cluster: staging\n') {
  const parsed = settingsFrom(settings);
  const { patch, findings } = injectObject(pod, 'Pod', parsed, undefined);
  const after = fastJsonPatch.applyPatch(structuredClone(pod), [...patch], true).newDocument;
  const { metadata, spec } = after;
  assert.ok(metadata && spec);
  assertAcceptable(spec);
  assert.deepEqual(injectObject(after, 'Pod', parsed, undefined).patch, [], 'a second injection');
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  const mountsOf = (name: string) => all.find((one) => one.name === name)?.volumeMounts ?? [];
  return {
    spec,
    added: readStatus({ metadata, spec })?.added ?? [],
    names: all.map(({ name }) => name),
    follows: all.some(({ name }) => name === follower),
    mounted: mountsOf(tagger).map(({ mountPath }) => mountPath),
    mountsOf,
    leftOut: findings.filter(({ code }) => code === 'mount_left_out').map(({ detail }) => detail),
    findings,
  };
}

const configMap: Source = { configMap: { name: 'detections' } };
const secret: Source = { secret: { secretName: 'detections' } };
const teams: Source = {
  projected: { sources: [{ configMap: { name: 'blue' } }, { configMap: { name: 'red' } }] },
};
const blend: Source = {
  projected: { sources: [{ configMap: { name: 'blue' } }, { secret: { name: 'red' } }] },
};
const downward: Source = {
  downwardAPI: { items: [{ path: 'x', fieldRef: { fieldPath: 'metadata.name' } }] },
};
const claim: Source = { persistentVolumeClaim: { claimName: 'detections' } };
const host: Source = { hostPath: { path: '/srv/detections' } };
const csi: Source = { csi: { driver: 'objects.example', readOnly: true } };
const image: Source = { image: { reference: 'detections:1' } };
const ephemeral: Source = { ephemeral: { volumeClaimTemplate: { spec: {} } } };
const nfs: Source = { nfs: { server: 'files.example', path: '/' } };
const empty: Source = { emptyDir: {} };

const kinds: Readonly<Record<string, { of: Source; folder: boolean; subPath: boolean }>> = {
  ConfigMap: { of: configMap, folder: true, subPath: false },
  Secret: { of: secret, folder: true, subPath: false },
  'projected ConfigMaps': { of: teams, folder: true, subPath: false },
  'projected with a Secret': { of: blend, folder: true, subPath: false },
  downwardAPI: { of: downward, folder: true, subPath: false },
  claim: { of: claim, folder: true, subPath: true },
  'ephemeral claim': { of: ephemeral, folder: true, subPath: true },
  'host folder': { of: host, folder: true, subPath: true },
  CSI: { of: csi, folder: true, subPath: true },
  image: { of: image, folder: true, subPath: true },
  NFS: { of: nfs, folder: true, subPath: true },
  'a kind of later years': { of: { whatever: { x: 1 } } as Source, folder: true, subPath: true },
  'an emptyDir of its own': { of: empty, folder: false, subPath: false },
  'no source, which is an emptyDir': { of: {}, folder: false, subPath: false },
};

const beside = (more: Partial<V1Container> = {}, readOnly?: boolean): V1Container => ({
  name: 'rules-loader',
  image: 'loader:1',
  args: ['load'],
  volumeMounts: [{ name: 'mine-0', mountPath: '/out', ...(readOnly === undefined ? {} : { readOnly }) }],
  ...more,
});

describe('the follower is there wherever rules can change while Falco runs', () => {
  for (const [name, { of, folder, subPath }] of Object.entries(kinds)) {
    test(`${name}: ${folder ? 'follows' : 'does not'}; by subPath: ${subPath ? 'follows' : 'does not'}`, () => {
      const at = '/etc/falco/rules.d';
      assert.equal(injected(podWith([{ at, of }])).follows, folder);
      const file = '/etc/falco/rules.d/mine.yaml';
      assert.equal(injected(podWith([{ at: file, of, subPath: 'mine.yaml' }])).follows, subPath);
    });
  }

  const rules: Mount = { at: '/etc/falco/rules.d', of: empty };
  const loaders: Readonly<Record<string, { more: Partial<V1PodSpec>; follows: boolean }>> = {
    'a container that writes': { more: { containers: [beside()] }, follows: true },
    'a container that only reads': { more: { containers: [beside({}, true)] }, follows: false },
    'an init container': { more: { initContainers: [beside()] }, follows: false },
    'a native sidecar': { more: { initContainers: [beside({ restartPolicy: 'Always' })] }, follows: true },
    'a native sidecar that only reads': {
      more: { initContainers: [beside({ restartPolicy: 'Always' }, true)] },
      follows: false,
    },
    'a container with another volume': {
      more: {
        containers: [beside({ volumeMounts: [{ name: 'else', mountPath: '/out' }] })],
        volumes: [{ name: 'else', emptyDir: {} }],
      },
      follows: false,
    },
  };
  for (const [name, { more, follows }] of Object.entries(loaders)) {
    test(`an emptyDir and ${name}: ${follows ? 'follows' : 'does not'}`, () => {
      assert.equal(injected(podWith([rules], more)).follows, follows);
    });
  }

  test('configuration that can change counts, as it can list other rules', () => {
    assert.equal(injected(podWith([{ at: '/etc/falco/config.d', of: configMap }])).follows, true);
    assert.equal(
      injected(podWith([{ at: '/etc/falco/falco.yaml', of: configMap, subPath: 'f' }])).follows,
      false,
    );
  });

  test('our own follower, left in a template, is nobody who writes', () => {
    const yaml: Mount = { at: '/etc/falco/falco.yaml', of: configMap, subPath: 'falco.yaml' };
    const { spec } = injected(podWith([yaml, { at: '/etc/falco/rules.d', of: configMap }]));
    const left = spec.containers.filter(({ name }) => name === follower);
    assert.equal(left[0]?.volumeMounts?.find(({ name }) => name === 'etc')?.readOnly, undefined);
    const without = podWith([yaml], { containers: left, volumes: spec.volumes?.slice(2) ?? [] });
    const { added } = injected(without);
    assert.ok(!added.includes(`container/${follower}`), added.join(' '));
  });

  test('not where the settings say so', () => {
    const pod = podWith([{ at: '/etc/falco/rules.d', of: configMap }]);
    assert.equal(injected(pod, 'cluster: staging\nrules: {follow: false}\n').follows, false);
  });
});

describe('nothing of ours runs for ever in a pod that ends', () => {
  for (const restartPolicy of ['Never', 'OnFailure']) {
    for (const startup of ['init', 'alongside']) {
      test(`restartPolicy ${restartPolicy}, startup ${startup}: tagged before Falco starts`, () => {
        const pod = podWith([{ at: '/etc/falco/rules.d', of: configMap }], { restartPolicy });
        const { names } = injected(pod, `cluster: staging\nrules: {startup: ${startup}}\n`);
        assert.deepEqual(names, [tagger, 'falco']);
      });
    }
  }

  test('restartPolicy Always: as without it', () => {
    const pod = podWith([{ at: '/etc/falco/rules.d', of: configMap }], { restartPolicy: 'Always' });
    assert.deepEqual(injected(pod).names, [tagger, 'falco', follower]);
    assert.deepEqual(injected(pod, 'cluster: staging\nrules: {startup: alongside}\n').names, [
      'falco',
      follower,
    ]);
  });
});

describe('which mounts the tagging containers get', () => {
  type Fate = 'mounted' | 'left out' | 'nothing';
  const table: readonly (readonly [string, Fate, Mount, ...string[]])[] = [
    // Elsewhere.
    ['a ConfigMap elsewhere', 'mounted', { at: '/site', of: configMap }],
    ['projected ConfigMaps elsewhere', 'mounted', { at: '/site', of: teams }],
    ['a claim elsewhere', 'mounted', { at: '/site', of: claim }],
    ['an image elsewhere', 'mounted', { at: '/site', of: image }],
    ['a Secret elsewhere', 'left out', { at: '/site', of: secret }],
    ['projected with a Secret elsewhere', 'left out', { at: '/site', of: blend }],
    ['a host folder elsewhere', 'left out', { at: '/site', of: host }],
    ['a file of rules in a Secret', 'left out', { at: '/site/x.yaml', of: secret, subPath: 'x.yaml' }],
    [
      'rules on the host among its own',
      'left out',
      { at: '/site', of: { hostPath: { path: '/var/lib/falco-rules' } } },
    ],
    ['a host folder of a site', 'left out', { at: '/site', of: { hostPath: { path: '/etc/site' } } }],
    ['a Secret in a folder of a site', 'left out', { at: '/etc/site', of: secret }],
    [
      'a host folder of a site below',
      'mounted',
      { at: '/etc/falco/site', of: { hostPath: { path: '/etc' } } },
    ],
    // Named by an argument.
    ['a named Secret', 'mounted', { at: '/site', of: secret }, '-o', 'rules_files[]=/site'],
    [
      'a Secret with a named file',
      'mounted',
      { at: '/site', of: secret },
      '-o',
      'rules_files[]=/site/x.yaml',
    ],
    [
      'a file in a named folder',
      'mounted',
      { at: '/site/x.yaml', of: secret, subPath: 'x' },
      '-o',
      'rules_files[]=/site/',
    ],
    [
      'keys beside a named folder',
      'nothing',
      { at: '/site/keys', of: secret },
      '-o',
      'rules_files[]=/site/other',
    ],
    [
      'a named host folder',
      'mounted',
      { at: '/host/rules', of: host },
      '--option=config_files[]=/host/rules',
    ],
    ['the configuration in a Secret', 'mounted', { at: '/site', of: secret }, '-c', '/site/falco.yaml'],
    // Below /etc/falco.
    ['rules.d as a Secret', 'mounted', { at: '/etc/falco/rules.d', of: secret }],
    ['config.d as a Secret', 'mounted', { at: '/etc/falco/config.d', of: secret }],
    ['a rules file from a Secret', 'mounted', { at: '/etc/falco/x.yaml', of: secret, subPath: 'x' }],
    ['a folder of rules from a Secret', 'mounted', { at: '/etc/falco/team-rules', of: secret }],
    ['a Secret that may be anything', 'left out', { at: '/etc/falco/site', of: secret }],
    ['a host folder that may be anything', 'mounted', { at: '/etc/falco/site', of: host }],
    // Keys.
    ['the chart’s certificates', 'nothing', { at: '/etc/falco/certs', of: secret }],
    ['a client’s certificates', 'nothing', { at: '/etc/falco/certs/client', of: secret }],
    ['the web server’s key', 'nothing', { at: '/etc/falco/falco.pem', of: secret, subPath: 'falco.pem' }],
    ['the same from the host', 'nothing', { at: '/etc/falco/falco.pem', of: host, subPath: 'falco.pem' }],
    ['the same from a claim', 'nothing', { at: '/etc/falco/falco.pem', of: claim, subPath: 'falco.pem' }],
    ['a folder of keys', 'nothing', { at: '/etc/falco/keys', of: secret }],
    [
      'a folder of keys from elsewhere',
      'nothing',
      { at: '/etc/falco/mtls', of: { emptyDir: { medium: 'Memory' } } },
    ],
    [
      'a Secret with a key in it',
      'nothing',
      {
        at: '/etc/falco/site',
        of: { secret: { secretName: 's', items: [{ key: 'tls.key', path: 'tls.key' }] } },
      },
    ],
    ['keys by CSI', 'nothing', { at: '/site', of: { csi: { driver: 'secrets-store.csi.k8s.io' } } }],
    // What Falco pods have besides.
    ['credentials elsewhere', 'nothing', { at: '/site', of: { secret: { secretName: 'gcp-credentials' } } }],
    ['a socket', 'nothing', { at: '/site', of: { hostPath: { path: '/srv/x', type: 'Socket' } } }],
    ['the node’s root', 'nothing', { at: '/rootfs', of: { hostPath: { path: '/' } } }],
    ['the node’s clock', 'nothing', { at: '/etc/localtime', of: { hostPath: { path: '/etc/localtime' } } }],
    ['the images', 'nothing', { at: '/images', of: { hostPath: { path: '/var/lib/containerd/io' } } }],
    ['the kernel’s modules', 'nothing', { at: '/lib/modules', of: { hostPath: { path: '/lib/modules' } } }],
    [
      'the audit log',
      'nothing',
      { at: '/var/log/kube-audit', of: { hostPath: { path: '/var/log/kube-audit' } } },
    ],
    ['the cluster’s authorities', 'nothing', { at: '/etc/ssl/certs', of: secret }],
    ['a log folder', 'nothing', { at: '/var/log/falco', of: claim }],
    ['a cloud’s token', 'nothing', { at: '/var/run/secrets/cloud.example/token', of: blend }],
  ];
  for (const [name, fate, mount, ...args] of table) {
    test(`${name}: ${fate}`, () => {
      const { mounted, leftOut } = injected(podWith([mount], {}, args));
      assert.equal(mounted.includes(mount.at), fate === 'mounted', mounted.join(' '));
      assert.deepEqual(leftOut, fate === 'left out' ? [mount.at] : []);
    });
  }

  test('malformed volumes throw nothing', () => {
    const odd = {
      secret: { secretName: 7, items: ['x', null, { path: 1 }] },
      projected: null,
    } as unknown as Source;
    const sources = { projected: { sources: [null, 'x', 3] } } as unknown as Source;
    assert.deepEqual(injected(podWith([{ at: '/site', of: odd }])).leftOut, []);
    assert.deepEqual(injected(podWith([{ at: '/site', of: sources }])).leftOut, ['/site']);
  });

  test('every recorded pod of the charts and the operator: no finding about a mount', (t) => {
    for (const { name, text } of recordedReviews(t)) {
      const { request } = JSON.parse(text);
      const { findings } = injectObject(
        request.object,
        request.kind.kind,
        settingsFrom('cluster: staging\n'),
        undefined,
      );
      const codes = findings.map(({ code }) => code);
      assert.ok(!codes.includes('mount_left_out'), name);
    }
  });
});

describe('mounts that lie below one another (FACTS 4.8)', () => {
  test('a mount above ours is writable in our containers', () => {
    const { mountsOf } = injected(podWith([{ at: '/etc', of: empty }]));
    assert.equal(mountsOf(tagger).find(({ mountPath }) => mountPath === '/etc')?.readOnly, undefined);
  });

  for (const [name, mount] of Object.entries({
    'mounted read-only': { at: '/etc', of: claim, readOnly: true },
    'a ConfigMap': { at: '/etc/', of: configMap },
  })) {
    test(`Falco's /etc is ${name}: nothing is added below it`, () => {
      const { names, findings, mountsOf } = injected(podWith([mount]));
      assert.deepEqual(names, ['falco']);
      assert.ok(!mountsOf('falco').some((one) => one.mountPath === '/etc/falco-federation'));
      const said = findings.find(({ code }) => code === 'volume_name_taken');
      assert.equal(said?.detail, `${mount.at}, which is read-only`);
    });
  }

  for (const at of ['/var', '/var/run', '/run', '/run/secrets/kubernetes.io', tokenPath]) {
    test(`${at} is not mounted: a service account's token would be below it or there`, () => {
      assert.ok(
        !injected(podWith([{ at, of: configMap }]))
          .mounted.slice(0, -1)
          .includes(at),
      );
      const named = injected(podWith([{ at, of: claim }], {}, ['-o', `rules_files[]=${at}/x.yaml`]));
      assert.deepEqual(named.leftOut, [at]);
    });
  }
});

describe("no service account's token in our containers", () => {
  const falco: V1Container = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] };

  test('each has an empty mount in its place, those that run in Falco’s image too', () => {
    const { spec } = injected({ spec: { containers: [falco] } });
    const ours = (spec.initContainers ?? []).filter(({ name }) => name.startsWith('falco-federation-'));
    assert.equal(ours.length, 3);
    for (const { name, volumeMounts } of ours) {
      const mount = volumeMounts?.find(({ mountPath }) => mountPath === tokenPath);
      assert.deepEqual(
        mount,
        { name: 'falco-federation-no-token', mountPath: tokenPath, readOnly: true },
        name,
      );
    }
    assert.equal(
      spec.containers[0]?.volumeMounts?.some(({ mountPath }) => mountPath === tokenPath),
      false,
    );
  });

  test('where the API server has added one already, it goes: two mounts at one path are no valid pod', () => {
    const before = podWith([{ at: '/etc/falco/rules.d', of: configMap }]);
    const { spec } = injected(before);
    const token = { name: 'kube-api-access-x7q2p', mountPath: tokenPath, readOnly: true };
    const older = (one: V1Container): V1Container => ({
      ...one,
      volumeMounts: [
        ...(one.volumeMounts ?? []).filter(({ mountPath }) => mountPath !== tokenPath),
        { ...token },
      ],
    });
    const pod: V1Pod = {
      spec: {
        ...spec,
        containers: spec.containers.map(older),
        initContainers: (spec.initContainers ?? []).map(older),
        volumes: [
          ...(spec.volumes ?? []).filter(({ name }) => name !== 'falco-federation-no-token'),
          { name: token.name, projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
        ],
      },
    };
    const { mountsOf } = injected(pod);
    for (const name of [tagger, follower]) {
      const at = mountsOf(name).filter(({ mountPath }) => mountPath === tokenPath);
      assert.deepEqual(
        at.map((one) => one.name),
        ['falco-federation-no-token'],
        name,
      );
    }
    assert.ok(
      mountsOf('falco').some((one) => one.name === token.name),
      "Falco's own stays",
    );
  });
});
