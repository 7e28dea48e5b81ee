import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, type SecureVersion } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import fastJsonPatch from 'fast-json-patch';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { decide } from '../../src/admission/decide.ts';
import { makeAuthority, makeClient } from '../../src/certificates/issue.ts';
import { makeServingCertificate, type ServingCertificate } from '../../src/certificates/self-signed.ts';
import { buildWebhook } from '../../src/server/webhook.ts';
import { assertAcceptable, settingsFrom } from '../injection/pods.ts';
import { recordedReviews, reviewOf } from '../injection/reviews.ts';
import { portOf } from '../port-of.ts';
import { rounds } from '../rounds.ts';
import { type Answer, post } from './https.ts';

const example = readFileSync(path.join(import.meta.dirname, '../../docs/examples/review.json'), 'utf8');
const spoke = settingsFrom('cluster: staging\nhub: {address: "https://hub.example"}\n');
const sources = { settings: () => spoke, namespaceAnnotations: () => undefined };

/** What must become of a recorded review, by its name: `falco-9.1.0-hub/pod.falco-falcosidekick-ui-….create.json`. */
function expectedReason(name: string): string {
  const [, file = ''] = name.split('/');
  if (!file.startsWith('pod.')) return 'workload_left_to_pods';
  if (/^pod\.(falco-)?falcosidekick-[0-9a-f]+\.create/.test(file)) return 'nothing_to_add';
  if (!/^pod\.falco(-[0-9a-z]+)?\.create/.test(file)) return 'not_falco';
  return 'injected';
}

describe('POST /mutate', () => {
  let tls: ServingCertificate;
  let server: FastifyInstance;
  let port = 0;
  let draining = false;
  const log: string[] = [];
  const counted: string[] = [];
  let answered = 0;

  const mutate = (body: string, headers: Record<string, string> = {}): Promise<Answer> =>
    post(port, tls.ca, '/mutate', body, headers);

  before(async () => {
    tls = await makeServingCertificate(['localhost', '127.0.0.1'], 86_400_000);
    server = buildWebhook({
      sources,
      tls: { cert: tls.certificate, key: tls.key },
      logger: pino({ level: 'info' }, { write: (line: string) => log.push(line) }),
      isDraining: () => draining,
      metrics: { decided: ({ reason }) => counted.push(reason.code), answered: () => answered++ },
    });
    await server.listen({ host: '127.0.0.1', port: 0 });
    port = portOf(server.server);
  });
  after(() => server.close());

  test('a Falco pod gets a patch, and one line in the log', async () => {
    log.length = 0;
    counted.length = 0;
    answered = 0;
    const { status, body } = await mutate(example);
    assert.equal(status, 200);
    assert.deepEqual([counted, answered], [['injected'], 1]);
    assert.equal(body.kind, 'AdmissionReview');
    assert.equal(body.response.allowed, true);
    assert.equal(body.response.patchType, 'JSONPatch');
    assert.deepEqual(body.response.auditAnnotations, { reason: 'injected' });
    assert.equal(log.length, 1);
    const { reason, namespace, kind, name, uid, ms } = JSON.parse(log[0] ?? '');
    assert.deepEqual([reason, namespace, kind, name], ['injected', 'falco', 'Pod', 'falco-']);
    assert.match(uid, /^0{8}-/);
    assert.equal(typeof ms, 'number');
  });

  test('every recorded review: Falco patched, others not, with a reason', async (t) => {
    for (const { name, text } of recordedReviews(t)) {
      const { request } = JSON.parse(text);
      const { status, body } = await mutate(text);
      assert.equal(status, 200, name);
      assert.equal(body.response.uid, request.uid);
      assert.equal(body.response.auditAnnotations.reason, expectedReason(name), name);
      if (expectedReason(name) !== 'injected') {
        assert.equal(body.response.patch, undefined, name);
        continue;
      }
      const operations = JSON.parse(Buffer.from(body.response.patch ?? '', 'base64').toString());
      assertAcceptable(fastJsonPatch.applyPatch(request.object, operations, true).newDocument.spec);
    }
  });

  test('warnings are for people, and short enough for every client', async () => {
    const review = JSON.parse(example);
    review.request.object.spec.containers[0].args.push('-r', '/etc/falco/mine.yaml');
    const { body } = await mutate(JSON.stringify(review));
    assert.equal(body.response.warnings?.length, 1);
    assert.match(
      body.response.warnings?.[0] ?? '',
      /^falco-federation: rules_given_by_argument: Falco is started with -r/,
    );
    for (const warning of body.response.warnings ?? []) assert.ok(warning.length <= 256);
  });

  test('a dry run is answered like any other request: nothing is kept of either', async () => {
    const review = JSON.parse(example);
    const wet = await mutate(JSON.stringify(review));
    review.request.dryRun = true;
    const dry = await mutate(JSON.stringify(review));
    assert.deepEqual(dry.body, wet.body);
  });

  test('secrets of a pod never reach the log', async () => {
    log.length = 0;
    const review = JSON.parse(example);
    review.request.object.spec.containers[0].env = [{ name: 'TOKEN', value: 'hunter2' }];
    review.request.object.spec.containers[0].args.push(
      '-o',
      'append_output=hunter2',
      '-o',
      'rules_files[0]=hunter2',
    );
    review.request.object.metadata.annotations = {
      'falco-federation.io/unknown': 'hunter2',
      other: 'hunter2',
    };
    await mutate(JSON.stringify(review));
    assert.match(log.join(''), /"findings":\[/);
    assert.doesNotMatch(log.join(''), /hunter2/);
  });

  test('an annotation of ours that is not allowed is in the log with its key and value', async () => {
    log.length = 0;
    const review = JSON.parse(example);
    review.request.object.metadata.annotations = { 'falco-federation.io/tags': 'blue, light blue' };
    await mutate(JSON.stringify(review));
    const line = JSON.parse(log.find((one) => one.includes('"decision"')) ?? '{}');
    assert.deepEqual(line.findings, ['annotation_invalid']);
    assert.equal(line.details.length, 1);
    assert.match(line.details[0], /^falco-federation\.io\/tags=blue, light blue on the pod: /);
  });

  const refused: readonly (readonly [
    name: string,
    body: string,
    headers: Record<string, string>,
    status: number,
    told: RegExp,
  ])[] = [
    ['nothing at all', '', {}, 400, /^The body is not JSON: /],
    ['no JSON', 'hello', {}, 400, /^The body is not JSON: /],
    ['JSON cut short', example.slice(0, 500), {}, 400, /^The body is not JSON: /],
    ['a list', '[]', {}, 400, /^The request is not a valid AdmissionReview/],
    ['null', 'null', {}, 400, /^The request is not a valid AdmissionReview/],
    ['another kind', '{"kind":"Pod","apiVersion":"v1"}', {}, 400, /^The request is not a valid Adm.*Pod/],
    [
      'a review without request',
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
      ...([{}, 400, /^The request is not a valid Adm.*request/] as const),
    ],
    [
      'a review without uid',
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}',
      ...([{}, 400, /^The request is not a valid Adm.*uid/] as const),
    ],
    [
      'another content type',
      'a=b',
      ...([
        { 'content-type': 'application/x-www-form-urlencoded' },
        415,
        /must be application\/json/,
      ] as const),
    ],
    [
      'a body beyond the limit',
      `{"a":"${'x'.repeat(7 * 1024 * 1024)}"}`,
      {},
      413,
      /larger than 7340032 bytes/,
    ],
  ];
  for (const [name, body, headers, status, told] of refused) {
    test(`${status}: ${name}`, async () => {
      const answer = await mutate(body, headers);
      assert.equal(answer.status, status);
      assert.equal(answer.body.reason, 'review_malformed');
      assert.match(answer.body.message, told);
    });
  }

  test('TLS 1.2 and 1.3 are spoken, and nothing older', async () => {
    const speak = async (version: SecureVersion): Promise<string | null> => {
      // At this level OpenSSL offers the old versions too, so it is the server that refuses.
      const options = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
      const socket = connect({ host: '127.0.0.1', port, ca: tls.ca, servername: 'localhost', ...options });
      await once(socket, 'secureConnect');
      const spoken = socket.getProtocol();
      socket.destroy();
      return spoken;
    };
    assert.equal(await speak('TLSv1.2'), 'TLSv1.2');
    assert.equal(await speak('TLSv1.3'), 'TLSv1.3');
    for (const old of ['TLSv1', 'TLSv1.1'] as const)
      await assert.rejects(speak(old), /alert protocol version/);
  });

  test('a client that goes away in the middle of its review harms nobody', async () => {
    const socket = connect({ host: '127.0.0.1', port, ca: tls.ca, servername: 'localhost' });
    await once(socket, 'secureConnect');
    socket.write(
      'POST /mutate?timeout=5s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${example.length}\r\n\r\n${example.slice(0, 100)}`,
    );
    await once(server.server, 'request');
    socket.destroy();
    await once(socket, 'close');
    assert.equal((await mutate(example)).status, 200);
  });

  test('404 elsewhere, saying where to go', async () => {
    const answer = await post(port, tls.ca, '/', '{}');
    assert.equal(answer.status, 404);
    assert.match(answer.body.message, /POST \/mutate/);
  });

  test('a review of another version is let through, with a warning', async () => {
    const { status, body } = await mutate(example.replace('admission.k8s.io/v1', 'admission.k8s.io/v1beta1'));
    assert.equal(status, 200);
    assert.equal(body.apiVersion, 'admission.k8s.io/v1beta1');
    assert.equal(body.response.allowed, true);
    assert.match(body.response.warnings?.[0] ?? '', /admission\.k8s\.io\/v1beta1/);
  });

  const odd: readonly (readonly [
    name: string,
    edit: (request: Record<string, unknown>) => void,
    reason: string,
  ])[] = [
    [
      'an update of a pod',
      (request) => {
        request.operation = 'UPDATE';
      },
      'operation_not_handled',
    ],
    [
      'a deletion',
      (request) => {
        request.operation = 'DELETE';
        request.object = null;
      },
      'operation_not_handled',
    ],
    [
      'a sub-resource',
      (request) => {
        request.subResource = 'ephemeralcontainers';
      },
      'operation_not_handled',
    ],
    [
      'a kind without pods',
      (request) => {
        request.kind = { kind: 'Secret' };
      },
      'workload_left_to_pods',
    ],
    [
      'no object',
      (request) => {
        delete request.object;
      },
      'pod_malformed',
    ],
    [
      'an object that is text',
      (request) => {
        request.object = 'x';
      },
      'pod_malformed',
    ],
    [
      'containers that are none',
      (request) => {
        request.object = { spec: { containers: [1] } };
      },
      'pod_malformed',
    ],
    [
      'labels that are a list',
      (request) => {
        request.object = { metadata: { labels: [1] }, spec: { containers: [] } };
      },
      'pod_malformed',
    ],
    [
      'an empty pod',
      (request) => {
        request.object = { spec: { containers: [] } };
      },
      'not_falco',
    ],
  ];
  for (const [name, edit, reason] of odd) {
    test(`let through unchanged: ${name}`, async () => {
      const review = JSON.parse(example);
      edit(review.request);
      const { status, body } = await mutate(JSON.stringify(review));
      assert.equal(status, 200);
      assert.equal(body.response.allowed, true);
      assert.equal(body.response.patch, undefined);
      assert.equal(body.response.auditAnnotations.reason, reason);
    });
  }

  test('a body in gzip is taken, and bounded by what it unpacks to', async () => {
    const gzip = { 'content-encoding': 'gzip' };
    const send = (body: Buffer) =>
      post(port, tls.ca, '/mutate', body, { ...gzip, 'content-length': `${body.length}` });
    assert.equal((await send(gzipSync(example))).body.response.auditAnnotations.reason, 'injected');
    assert.equal((await send(gzipSync(`"${'x'.repeat(8 * 1024 * 1024)}"`))).status, 413);
    assert.equal((await send(Buffer.from(example))).status, 400);
  });

  test('6 MiB are taken: an object and its old self', async () => {
    const review = JSON.parse(example);
    review.request.object.metadata.annotations = { big: 'x'.repeat(6 * 1024 * 1024) };
    assert.equal((await mutate(JSON.stringify(review))).body.response.auditAnnotations.reason, 'injected');
  });

  test('JSON nested 100,000 deep harms nobody', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    assert.equal((await mutate(deep)).status, 400);
    const inside = example.replace('"oldObject": null', `"oldObject": ${deep}`);
    assert.equal((await mutate(inside)).body.response.auditAnnotations.reason, 'injected');
    const spec = example.replace('"spec": {', `"spec": { "x": ${deep},`);
    assert.equal((await mutate(spec)).body.response.allowed, true);
    assert.equal((await mutate(example)).status, 200);
  });

  test('keys that JavaScript treats in its own way stay data', async () => {
    const odd = example.replace(
      '"metadata": {',
      '"metadata": { "annotations": {"__proto__": "x", "constructor": "y"},',
    );
    const { body } = await mutate(odd);
    assert.equal(body.response.allowed, true);
  });

  test('garbage and plain HTTP on the port do not stop the server', async () => {
    const socket = connect({ host: '127.0.0.1', port, ca: tls.ca, servername: 'localhost' });
    await once(socket, 'secureConnect');
    socket.resume();
    socket.end('GARBAGE\r\n\r\n');
    await once(socket, 'close');
    await assert.rejects(fetch(`http://127.0.0.1:${port}/mutate`, { method: 'POST', body: '{}' }));
    assert.equal((await mutate(example)).status, 200);
  });

  test('connections are kept longer than the API server keeps them idle, but not by a slow request or while draining', async () => {
    assert.ok(server.server.keepAliveTimeout > 90_000);
    assert.equal(server.server.requestTimeout, 30_000);
    assert.notEqual((await mutate(example)).headers.connection, 'close');
    draining = true;
    const answers = [await mutate(example), await mutate('hello'), await post(port, tls.ca, '/', '{}')];
    draining = false;
    assert.deepEqual(
      answers.map(({ status, headers }) => [status, headers.connection]),
      [
        [200, 'close'],
        [400, 'close'],
        [404, 'close'],
      ],
    );
  });
});

test('with --client-ca only a client of its name is answered', async () => {
  const tls = await makeServingCertificate(['localhost'], 86_400_000);
  const now = Date.now();
  const [authority, other] = [await makeAuthority(now, 86_400_000), await makeAuthority(now, 86_400_000)];
  const server = buildWebhook({
    sources,
    tls: { cert: tls.certificate, key: tls.key },
    callers: { authority: authority.certificate, name: 'kube-apiserver' },
    logger: pino({ level: 'silent' }),
    isDraining: () => false,
    metrics: { decided: () => {}, answered: () => {} },
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  try {
    const port = portOf(server.server);
    const by = async (issuer: typeof authority, name: string) => {
      const { certificate: cert, key } = await makeClient(issuer, name, now, 3_600_000);
      return post(port, tls.ca, '/mutate', example, {}, { cert, key });
    };
    assert.equal((await by(authority, 'kube-apiserver')).status, 200);
    for (const answer of [
      await by(authority, 'somebody'),
      await by(other, 'kube-apiserver'),
      await post(port, tls.ca, '/mutate', example),
    ]) {
      assert.equal(answer.status, 403);
      assert.match(answer.body.message, /certificate of --client-ca for kube-apiserver/);
    }
    // As when the serving certificate is renewed.
    (server.server as Server).setSecureContext({
      ...{ cert: tls.certificate, key: tls.key, ca: other.certificate },
    });
    assert.equal((await by(other, 'kube-apiserver')).status, 200);
  } finally {
    await server.close();
  }
});

describe('a decision', () => {
  test('warnings are within what the API server hands on, and have no control characters', () => {
    const volumes = Array.from({ length: 100 }, (_, at) => ({ name: `v${at}`, secret: { secretName: 's' } }));
    const spec = {
      containers: [
        {
          name: 'falco',
          image: 'falcosecurity/falco:0.44.1',
          args: ['/usr/bin/falco'],
          volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/etc/falco/${name}` })),
        },
      ],
      volumes,
    };
    const annotations = { 'falco-federation.io/tags': 'a\nb\u0007' };
    const { answer, findings } = decide(reviewOf({ kind: 'Pod', metadata: { annotations }, spec }), sources);
    const { warnings = [] } = answer?.response ?? {};
    assert.ok(findings.length > 100);
    assert.ok(warnings.reduce((sum, one) => sum + Buffer.byteLength(one), 0) <= 4_096);
    assert.match(warnings.at(-1) ?? '', /^falco-federation: \d+ more warnings are in the webhook's log$/);
    assert.doesNotMatch(warnings.join(''), /\p{Cc}/u);
    assert.match(warnings[0] ?? '', /annotation_invalid/);
  });

  test('a pod of more parts than any has is let through unchanged', () => {
    const falco = { name: 'falco', image: 'falcosecurity/falco:0.44.1', args: ['/usr/bin/falco'] };
    const reasonOf = (more: object) =>
      decide(reviewOf({ kind: 'Pod', spec: { containers: [{ ...falco, ...more }] } }), sources).reason.code;
    const many = (count: number) => Array.from({ length: count }, (_, at) => ({ name: `A${at}`, value: '' }));
    assert.equal(reasonOf({ env: many(9_900) }), 'injected');
    assert.equal(reasonOf({ env: many(10_100) }), 'pod_too_large');
    assert.equal(reasonOf({ env: [{ name: 'A', value: 'x'.repeat(700_000) }] }), 'pod_too_large');
    assert.equal(reasonOf({ args: ['/usr/bin/falco', 'x'.repeat(700_000)] }), 'pod_too_large');
  });

  test('never refuses and never throws, whatever comes', () => {
    const anyReview = fc.record({
      apiVersion: fc.constantFrom('admission.k8s.io/v1', 'x'),
      kind: fc.constant('AdmissionReview'),
      request: fc.record(
        {
          uid: fc.string({ minLength: 1 }),
          kind: fc.record({ kind: fc.constantFrom('Pod', 'DaemonSet', 'CronJob', 'x') }),
          operation: fc.constantFrom('CREATE', 'UPDATE'),
          object: fc.oneof(
            fc.jsonValue(),
            fc.record({
              metadata: fc.jsonValue(),
              spec: fc.record({ containers: fc.array(fc.jsonValue()), volumes: fc.jsonValue() }),
            }),
          ),
        },
        { requiredKeys: ['uid'] },
      ),
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), anyReview), (review) => {
        const { answer } = decide(review, sources);
        assert.ok(answer === undefined || answer.response.allowed);
      }),
      rounds(400),
    );
  });

  test('a defect of ours lets the object through, with a reason', () => {
    const broken = {
      settings: (): never => {
        throw new Error('settings are gone');
      },
      namespaceAnnotations: () => undefined,
    };
    const { answer, reason } = decide(JSON.parse(example), broken);
    assert.equal(answer?.response.allowed, true);
    assert.equal(answer?.response.patch, undefined);
    assert.deepEqual(reason, { code: 'internal_error', detail: 'settings are gone' });
  });

  test('injectAt: workload injects templates as well as pods', () => {
    const settings = settingsFrom('cluster: staging\ninjectAt: workload\n');
    const pod = JSON.parse(example).request.object;
    const workload = {
      kind: 'DaemonSet',
      metadata: { name: 'falco' },
      spec: { template: { spec: pod.spec } },
    };
    for (const object of [workload, { kind: 'Pod', ...pod }]) {
      for (const operation of object.kind === 'Pod' ? ['CREATE'] : ['CREATE', 'UPDATE']) {
        const { reason } = decide(reviewOf(object, operation), { ...sources, settings: () => settings });
        assert.equal(reason.code, 'injected', `${operation} ${object.kind}`);
      }
    }
  });
});
