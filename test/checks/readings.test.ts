/** What is read out of texts: metrics, readiness, fields. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readConditions, readMetrics } from '../../src/checks/replica.ts';
import { doubledLabels, panickingFields } from '../../src/injection/falcosidekick/prometheus-labels.ts';

describe('labels on which falcosidekick stops', () => {
  const keys = { custom: [], templated: [], extra: [] };
  const version = (minor: number) => ({ major: 2, minor });

  test('one name twice, a dot read as "_"; its own names by version', () => {
    assert.deepEqual(doubledLabels({ ...keys, custom: ['team'], extra: ['team'] }, version(32)), ['team']);
    assert.deepEqual(doubledLabels({ ...keys, custom: ['k8s.x'], templated: ['k8s_x'] }, version(32)), [
      'k8s_x',
    ]);
    assert.deepEqual(doubledLabels({ ...keys, custom: ['hostname'] }, version(27)), []);
    assert.deepEqual(doubledLabels({ ...keys, custom: ['hostname'] }, version(28)), ['hostname']);
    assert.deepEqual(doubledLabels({ ...keys, templated: ['env'], custom: ['env'] }, version(30)), []);
    assert.deepEqual(doubledLabels({ ...keys, custom: ['no-label'], extra: ['no-label'] }, undefined), []);
  });

  test('fields with a dot, in 2.30 to 2.33', () => {
    const dotted = { ...keys, custom: ['k8s.x'], templated: ['y.z'] };
    assert.deepEqual(panickingFields(dotted, version(29)), []);
    assert.deepEqual(panickingFields(dotted, version(30)), ['k8s.x']);
    assert.deepEqual(panickingFields(dotted, version(33)), ['k8s.x', 'y.z']);
    assert.deepEqual(panickingFields(dotted, version(34)), []);
  });
});

test('metrics: labels with quotes, several samples, what is no sample', () => {
  const metrics = readMetrics('# HELP a b\na{x="1",y="q\\"\\n"} 2\na{x="2"} 3e2\nb 4\nno sample\n');
  assert.deepEqual(metrics.samples('a'), [
    { labels: { x: '1', y: 'q"\n' }, value: 2 },
    { labels: { x: '2' }, value: 300 },
  ]);
  assert.equal(metrics.value('b'), 4);
  assert.equal(metrics.value('c'), undefined);
});

test('readiness: each line a condition', () => {
  const conditions = readConditions(
    '[+] spool: ok, 0 events wait\n[-] certificate: expired at 1970: renew\nelse\n',
  );
  assert.deepEqual(Object.fromEntries(conditions), {
    spool: { ready: true, detail: 'ok, 0 events wait' },
    certificate: { ready: false, detail: 'expired at 1970: renew' },
  });
});
