/** Other settings on what an earlier injection made: as if it had never been (issue 14). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { effectiveSettings } from '../../src/federation/effective-settings.ts';
import { inject } from '../../src/injection/inject.ts';
import type { PodTemplate } from '../../src/injection/pod-template.ts';
import type { Settings } from '../../src/settings/schema.ts';
import { rounds } from '../rounds.ts';
import { frozen, podTemplates, settingsFrom } from './pods.ts';

/** Settings of every kind that leaves something else in a pod. */
const settings: fc.Arbitrary<Settings> = fc
  .record(
    {
      role: fc.constantFrom('spoke', 'hub'),
      labels: fc.constantFrom(
        {},
        { env: 'staging' },
        { env: 'mine' },
        { team: 'blue', region: 'eu' },
        { env: 'staging', team: 'red', region: 'eu' },
      ),
      tags: fc.constantFrom([], ['staging'], ['a', 'b']),
      rules: fc.record(
        {
          enabled: fc.boolean(),
          startup: fc.constantFrom('init', 'alongside'),
          follow: fc.boolean(),
          inImage: fc.constantFrom('copy', 'leave'),
          resources: fc.constantFrom(
            { requests: { cpu: '10m' }, limits: { cpu: '1', memory: '64Mi' } },
            { limits: { cpu: '500m', memory: '128Mi' } },
          ),
        },
        { requiredKeys: [] },
      ),
      hub: fc.record({ address: fc.constantFrom('https://hub.example', 'https://other.example') }),
    },
    { requiredKeys: [] },
  )
  .chain(({ hub, ...others }) => {
    const common = { cluster: 'staging', ...others };
    if (hub === undefined || others.role === 'hub') return fc.constant(common);
    return fc.constantFrom(
      { ...common, hub },
      { ...common, hub, forwarder: { address: 'http://forwarder.other:2801' } },
    );
  })
  .map((value) => settingsFrom(JSON.stringify(value)));

/** As kubectl and the API server keep it: a template that is stored has no empty texts in its environment. */
function stored(template: PodTemplate): PodTemplate {
  const containers = template.spec.containers.map((one) =>
    one.env
      ? { ...one, env: one.env.map(({ value, ...entry }) => (value ? { ...entry, value } : entry)) }
      : one,
  );
  return { ...template, spec: { ...template.spec, containers } };
}

function injected(template: PodTemplate, settings: Settings): PodTemplate {
  const { effective } = effectiveSettings(settings, undefined, undefined);
  const { patch } = inject(frozen(template), effective);
  const sent: Operation[] = JSON.parse(JSON.stringify(patch));
  return fastJsonPatch.applyPatch(structuredClone(template), sent, true).newDocument;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Without empty lists, maps and texts, which say what absent ones do; volumes, which have no order, by name. */
function meaning(value: Json): Json {
  if (Array.isArray(value)) return value.map(meaning);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value)
    .map(([key, one]): [string, Json] => [key, key === 'volumes' ? byName(one) : meaning(one)])
    .filter(([, one]) => one !== '' && (typeof one !== 'object' || Object.keys(one ?? {}).length > 0));
  return Object.fromEntries(fields);
}

function byName(volumes: Json): Json {
  const list = Array.isArray(volumes) ? volumes.map((one) => JSON.stringify(meaning(one))) : [];
  return list.toSorted();
}

function assertSame(is: PodTemplate, expected: PodTemplate): void {
  assert.deepEqual(meaning(JSON.parse(JSON.stringify(is))), meaning(JSON.parse(JSON.stringify(expected))));
}

describe('an injection with other settings', () => {
  test('makes of an injected template what it makes of the template itself', () => {
    fc.assert(
      fc.property(podTemplates, settings, settings, (template, first, second) => {
        assertSame(injected(injected(template, first), second), injected(template, second));
      }),
      rounds(166),
    );
  });

  test('so it does when the API server has stored the template, and through three of them', () => {
    fc.assert(
      fc.property(podTemplates, settings, settings, settings, (template, first, second, third) => {
        const twice = injected(stored(injected(stored(template), first)), second);
        assertSame(injected(stored(twice), third), injected(stored(template), third));
      }),
      rounds(166),
    );
  });

  test('what a user has changed in a variable of ours is the user’s', () => {
    const template: PodTemplate = {
      spec: { containers: [{ name: 'falcosidekick', image: 'falcosecurity/falcosidekick:2.32.0' }] },
    };
    const hub = settingsFrom('cluster: staging\nrole: hub\n');
    const changed = structuredClone(injected(template, hub));
    const entry = changed.spec.containers[0]?.env?.find(({ name }) => name === 'TEMPLATEDFIELDS');
    assert.ok(entry);
    entry.value = 'team:{{ "red" }}';
    const { env } = injected(changed, hub).spec.containers[0] ?? {};
    assert.deepEqual(env, [
      {
        name: 'TEMPLATEDFIELDS',
        value: 'team:{{ "red" }},env:{{/* falco-federation */}}{{ or (index . "env") "staging" }}',
      },
    ]);
  });

  test('on a second call what others changed in our containers stays, and what is missing comes back', () => {
    const spoke = settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n');
    const falco = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] };
    const first = structuredClone(injected({ spec: { containers: [falco] } }, spoke));
    const ours = [...(first.spec.initContainers ?? []), ...first.spec.containers.slice(1)];
    assert.ok(ours.length > 3);
    for (const one of ours) {
      // As a policy, the VPA and a registry's mirror do (FACTS 4.17).
      one.image = `mirror.example/${one.image}`;
      one.resources = { requests: { cpu: '500m' } };
      one.securityContext = {
        runAsUser: 1000650000,
        seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' },
      };
    }
    assert.deepEqual(injected(first, spoke), first);
    const lost = first.spec.containers.pop();
    assert.deepEqual(
      injected(first, spoke).spec.containers.map(({ name }) => name),
      ['falco', lost?.name],
    );
  });

  test('a template that opts out gives back everything', () => {
    fc.assert(
      fc.property(podTemplates, settings, settings, (template, first, second) => {
        const labels = { 'falco-federation.io/inject': 'disabled' };
        const out = (one: PodTemplate): PodTemplate => ({
          ...one,
          metadata: { ...one.metadata, labels: { ...one.metadata?.labels, ...labels } },
        });
        assertSame(injected(out(injected(template, first)), second), out(template));
      }),
      rounds(100),
    );
  });

  test('so does one that is no longer Falco', () => {
    fc.assert(
      fc.property(podTemplates, settings, settings, (template, first, second) => {
        const other = (one: PodTemplate): PodTemplate => {
          const containers = one.spec.containers.map((container) =>
            container.name === 'falco'
              ? { ...container, name: 'x', image: 'x:1', command: ['sleep'] }
              : container,
          );
          return { ...one, spec: { ...one.spec, containers } };
        };
        const was = injected(template, first);
        fc.pre(!was.spec.containers.some(({ name }, at) => name === 'x' && at > 0));
        assertSame(injected(other(was), second), injected(other(template), second));
      }),
      rounds(100),
    );
  });
});
