import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { findFalco } from '../../src/injection/falco/find-falco.ts';
import { findFalcosidekick } from '../../src/injection/falcosidekick/find-falcosidekick.ts';
import { reasons } from '../../src/reasons/reasons.ts';
import { rounds } from '../rounds.ts';
import { generatedPods, recognisedPods } from './recognised.ts';

function takenFor(pod: { containers: Parameters<typeof findFalco>[0]['containers'] }): string {
  const falco = findFalco(pod);
  if (falco !== undefined) return 'code' in falco ? falco.code : falco.container.name;
  return findFalcosidekick(pod) === undefined ? 'nothing' : 'falcosidekick';
}

describe('what a pod is taken for', () => {
  for (const { about, containers, is } of recognisedPods) {
    test(`${about}: ${is}`, () => assert.equal(takenFor({ containers }), is));
  }

  test('the order of containers does not count', () => {
    fc.assert(
      fc.property(generatedPods, ({ containers }) => {
        const forwards = takenFor({ containers });
        assert.equal(takenFor({ containers: containers.toReversed() }), forwards);
      }),
      rounds(100),
    );
  });

  test('a further container with fewer signs changes nothing', () => {
    fc.assert(
      fc.property(generatedPods, ({ containers }) => {
        const certain = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] };
        const others = containers.filter(({ name }) => name !== 'falco');
        assert.equal(takenFor({ containers: [...others, certain] }), 'falco');
      }),
      rounds(100),
    );
  });

  test('arguments are the words behind the program, whatever stands before it', () => {
    const args = fc.array(fc.constantFrom('-U', '-c', '/etc/falco/falco.yaml', 'falco', '-o', 'a.b=c'));
    const before = fc.array(fc.constantFrom('tini', 'env', 'A=b', '-g', '--', '/docker-entrypoint.sh'), {
      maxLength: 5,
    });
    let found = 0;
    fc.assert(
      fc.property(before, args, fc.nat(), (wrappers, own, cut) => {
        const words = [...wrappers, '/usr/bin/falco', ...own];
        const at = cut % (words.length + 1);
        const container = { name: 'x', image: 'app:1', command: words.slice(0, at), args: words.slice(at) };
        const falco = findFalco({ containers: [container] });
        if (falco === undefined || 'code' in falco) return;
        found += 1;
        assert.deepEqual(falco.args, own);
      }),
      rounds(100),
    );
    assert.ok(found > 50, `Falco was found ${found} times only`);
  });

  test('the corpus has each outcome', () => {
    const outcomes = new Set(recognisedPods.map(({ is }) => is).filter((is) => is in reasons));
    assert.deepEqual([...outcomes].sort(), ['falco_ambiguous', 'falco_command_unclear', 'falco_only_looks']);
  });
});
