/** The program as a user runs it: flags, streams, exit statuses. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { makeServingCertificate } from '../../src/certificates/self-signed.ts';
import { portOf } from '../port-of.ts';
import { post } from '../server/https.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { until } from '../until.ts';
import { runCommand } from './run-command.ts';

const root = path.join(import.meta.dirname, '../..');
const examples = path.join(root, 'docs/examples');
const settings = path.join(examples, 'federation.yaml');
const program = path.join(root, 'src/main.ts');

const inject = (input: string | Buffer, ...args: string[]) =>
  runCommand(['inject', '--settings', settings, ...args], { input });

const pod = (name: string): string => `apiVersion: v1
kind: Pod
metadata:
  name: ${name}   # a comment
spec:
  containers:
    - name: ${name}
      image: example/${name}:0.44.1
      args: [/usr/bin/${name}]
`;

describe('falco-federation', () => {
  test('help and version', async () => {
    assert.match((await runCommand(['--help'])).stdout, /serve[\s\S]*inject[\s\S]*tag-rules/);
    for (const command of ['serve', 'inject', 'tag-rules', 'certs']) {
      const { status, stdout } = await runCommand([command, '--help']);
      assert.equal(status, 0, command);
      assert.match(stdout, new RegExp(`^Usage: falco-federation ${command}`));
    }
    assert.match((await runCommand(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test('the version is that of package.json', async () => {
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    assert.equal((await runCommand(['--version'])).stdout.trim(), version);
  });

  test("Helm 4's plugin calls the program with what it takes, and has its version", async () => {
    const plugin = parse(readFileSync(path.join(root, 'docs/helm/falco-federation/plugin.yaml'), 'utf8'));
    const { version, bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    assert.deepEqual(
      [plugin.type, plugin.name, plugin.version],
      ['postrenderer/v1', 'falco-federation', version],
    );
    for (const { command, args } of plugin.runtimeConfig.platformCommand) {
      assert.ok(command in bin);
      const { status, stdout } = await runCommand([...args, '--settings', settings], { input: pod('falco') });
      assert.equal(status, 0);
      assert.match(stdout, /append_output/);
    }
  });

  for (const [args, told] of [
    [[], /^Usage: falco-federation COMMAND/],
    [['nothing'], /unknown subcommand "nothing"\n/],
    [['injekt'], /unknown subcommand "injekt"; did you mean "inject"\?\n/],
    [['inject', '--setings', 'x'], /inject: unknown flag "--setings"; did you mean "--settings"\?\n/],
    [['inject', '--zzzzzzzz'], /inject: unknown flag "--zzzzzzzz"\nSee falco-federation inject --help\./],
    [['inject', 'file.yaml'], /inject: unexpected argument "file\.yaml"/],
    [['serve'], /--tls-cert/],
    [['serve', '--local', '--port', 'x'], /--port must be a port number, not "x"/],
    [['serve', '--local', '--log-level', 'loud'], /--log-level must be one of/],
    [['serve', '--local', '--tls-secret', 'x', '--tls-name', 'y', '--namespace', 'z'], /--local/],
    [['serve', '--tls-cert', 'x'], /--tls-key/],
    [['serve', '--tls-secret', 'x', '--namespace', 'z'], /--tls-name/],
    [['serve', '--tls-secret', 'x', '--tls-name', 'y'], /--namespace/],
    [
      ['serve', '--tls-cert', 'x', '--tls-key', 'y', '--drain-delay', 'soon'],
      /--drain-delay must be a duration/,
    ],
    [['tag-rules'], /--output is missing/],
  ] as const) {
    test(`wrong use is 2, told on stderr: ${args.join(' ')}`, async () => {
      const { status, stdout, stderr } = await runCommand(args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, told);
    });
  }
});

describe('inject', () => {
  test('documents that are not touched stay byte for byte, comments and odd spacing included', async () => {
    const others = [
      '# first\n---\n',
      `apiVersion: v1\nkind:   ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    kind: Pod\n     ---\n    text\n`,
      '--- # with a word\n# nothing here\n',
      `---\n${pod('web')}`,
      '---\r\nkind: Service\r\nmetadata:\r\n  name: crlf\r\n',
    ].join('');
    const { status, stdout, stderr } = await inject(others);
    assert.equal(stdout, others);
    assert.equal(status, 0);
    assert.equal(stderr, '3 other objects unchanged (2 kind_without_pod, 1 not_falco)\n');
  });

  test('Falco among others is injected, its comments kept', async () => {
    const before = 'kind: Service\nmetadata: {name: s}\n---\n';
    const { status, stdout } = await inject(`${before}${pod('falco')}---\n${pod('web')}`);
    assert.equal(status, 0);
    assert.ok(stdout.startsWith(before));
    assert.ok(stdout.endsWith(`---\n${pod('web')}`));
    assert.match(stdout, /name: falco +# a comment/);
    assert.match(stdout, /append_output\[\]=/);
  });

  test('a List, JSON, JSON on many lines, each in its own form', async () => {
    const falco = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'f' },
      spec: { containers: [{ name: 'falco', args: ['/usr/bin/falco'] }] },
    };
    const web = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'w' },
      spec: { containers: [{ name: 'web', image: 'w' }] },
    };
    const list = await inject(JSON.stringify({ kind: 'List', items: [web, falco] }, null, 4));
    assert.match(list.stdout, /^\{\n {4}"kind": "List"/);
    const items = JSON.parse(list.stdout).items;
    assert.deepEqual(items[0], web);
    assert.equal(items[1].metadata.labels['falco-federation.io/cluster'], 'staging');
    const lines = (await inject(`${JSON.stringify(web)}\n${JSON.stringify(falco)}\n`)).stdout.split('\n');
    assert.equal(lines[0], JSON.stringify(web));
    assert.equal(JSON.parse(lines[1] ?? '').metadata.labels['falco-federation.io/cluster'], 'staging');
  });

  test('anchors and aliases stay where nothing changes', async () => {
    const text = pod('falco')
      .replace('spec:\n', 'spec:\n  nodeSelector: &a {x: y}\n')
      .replace('args:', 'env: [{name: A, value: b}]\n      args:');
    const aliased = `${text}  overhead: *a\n`;
    const { stdout, status } = await inject(aliased);
    assert.equal(status, 0);
    assert.match(stdout, /append_output\[\]=/);
    assert.ok(stdout.endsWith('  overhead: *a\n') || stdout.includes('\n  overhead: *a\n'), stdout);
  });

  test('an AdmissionReview is answered, as the webhook would', async () => {
    const { status, stdout } = await inject('', '-f', path.join(examples, 'review.json'));
    assert.equal(status, 0);
    const { response } = JSON.parse(stdout);
    assert.deepEqual([response.allowed, response.patchType], [true, 'JSONPatch']);
  });

  test("a Namespace in the stream gives its annotations, and --namespace says whose objects' are", async () => {
    const namespace = `kind: Namespace\nmetadata:\n  name: security\n  annotations:\n    falco-federation.io/cluster: edge-7\n---\n`;
    assert.match(
      (await inject(namespace + pod('falco'), '--namespace', 'security')).stdout,
      /cluster: edge-7\n/,
    );
    assert.doesNotMatch(
      (await inject(namespace + pod('falco'))).stdout,
      /falco-federation.io\/cluster: edge-7\n.*\n.*status/,
    );
  });

  test('what cannot be read is passed on and told with its line; the rest is done', async () => {
    const foreign = 'a: [\n---\n';
    const { status, stdout, stderr } = await inject(`kind: X\n---\n${foreign}${pod('falco')}`);
    assert.equal(status, 0);
    assert.ok(stdout.includes(foreign));
    assert.match(stdout, /append_output\[\]=/);
    assert.match(stderr, /document at line 2: .*passed on as it is/);
  });

  test('what cannot be read and may hold Falco: the same, and exit 1', async () => {
    const broken = `${pod('falco')}  tolerations: [\n`;
    const { status, stdout, stderr } = await inject(`${pod('falco')}---\n${broken}`);
    assert.equal(status, 1);
    assert.ok(stdout.endsWith(`---\n${broken}`));
    assert.match(stdout, /append_output\[\]=/);
    assert.match(stderr, /document at line 10: .*passed on as it is/);
  });

  test('bytes that are not UTF-8 are passed on as they are', async () => {
    const bytes = Buffer.from(pod('web'), 'utf16le');
    const result = await inject(bytes);
    assert.deepEqual([result.status, result.bytes], [0, bytes]);
    assert.match(result.stderr, /it is not UTF-8; it was passed on as it is/);
    const falco = Buffer.from(pod('falco'), 'utf16le');
    const failed = await inject(falco);
    assert.deepEqual([failed.status, failed.bytes], [1, falco]);
  });

  test('a report has a line for each object that matters, and counts the others', async () => {
    const items = Array.from({ length: 1500 }, (_, at) => ({
      kind: 'Pod',
      metadata: { name: `web-${at}` },
      spec: { containers: [{ name: 'web', image: 'w' }] },
    }));
    const others = JSON.stringify({ kind: 'List', items });
    assert.equal((await inject(others)).stderr, '1500 other objects unchanged (1500 not_falco)\n');
    const { stdout, stderr } = await inject(`${others}\n---\n${pod('falco')}`);
    assert.match(stderr, /^Pod falco: injected: .*\n1500 other objects unchanged \(1500 not_falco\)\n$/);
    const again = await inject(stdout);
    assert.equal(again.stderr, '1501 other objects unchanged (1500 not_falco, 1 already_injected)\n');
  });

  test('nothing in, nothing out', async () => {
    const { status, stdout, stderr } = await inject('');
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
  });

  test('a malformed pod is told and passed on; exit 1 only if it may hold Falco', async () => {
    const text = 'kind: Pod\nmetadata: {name: p}\nspec: {containers: 3}\n';
    const { status, stdout, stderr } = await inject(text);
    assert.deepEqual([status, stdout], [0, text]);
    assert.match(stderr, /^Pod p: pod_malformed/);
    const falco = text.replace('name: p', 'name: falco');
    const failed = await inject(falco);
    assert.deepEqual([failed.status, failed.stdout], [1, falco]);
  });

  test('settings that are not there, and a file that is not there: exit 1, both named', async () => {
    const missing = await runCommand(['inject', '--settings', '/nowhere.yaml'], { input: pod('falco') });
    assert.deepEqual([missing.status, missing.stdout], [1, '']);
    assert.match(missing.stderr, /^\/nowhere\.yaml: cannot be read/);
    const file = await inject('', '-f', '/nowhere.yaml');
    assert.equal(file.status, 1);
    assert.match(file.stderr, /\/nowhere\.yaml/);
  });
});

test('who reads what is printed may go before all of it is read', async () => {
  // More than a pipe holds, and nobody who reads it.
  const input = `apiVersion: v1\nkind: ConfigMap\ndata: {long: ${'x'.repeat(1_000_000)}}\n`;
  const reader = spawnSync(
    'sh',
    ['-c', '"$0" "$1" inject --settings "$2" | head -c 1', process.execPath, program, settings],
    { input, encoding: 'utf8' },
  );
  assert.equal(reader.stdout, 'a');
  assert.doesNotMatch(reader.stderr, /EPIPE/);
});

const anyPorts = ['--port', '0', '--health-port', '0', '--metrics-port', '0'];

describe('serve', () => {
  for (const flag of ['--port', '--health-port', '--metrics-port']) {
    test(`a port that is taken: exit 1, ${flag} and the remedy told`, async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const taken = String(portOf(other));
      const cwd = temporaryFolder('serve-');
      const child = spawn(
        process.execPath,
        [program, 'serve', '--local', '--settings', settings, ...anyPorts, flag, taken],
        { cwd, stdio: ['ignore', 'ignore', 'pipe'] },
      );
      const [told, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
      other.close();
      assert.equal(status, 1);
      assert.ok(
        told.startsWith(`falco-federation serve: cannot listen on 127.0.0.1 port ${taken} (${flag}): `),
        told,
      );
      assert.match(told, /EADDRINUSE/);
    });
  }

  test('bad settings: exit 1, the place told', async () => {
    const file = path.join(temporaryFolder('serve-'), 'federation.yaml');
    writeFileSync(file, 'cluster: a\nrole: leaf\n');
    const { status, stderr } = await runCommand(['serve', '--local', '--settings', file]);
    assert.equal(status, 1);
    assert.match(stderr, /federation\.yaml:2:7: role: must be one of spoke, hub/);
  });

  test('certificate files that are none: exit 1, both named', async () => {
    const { status, stderr } = await runCommand([
      'serve',
      '--settings',
      settings,
      '--tls-cert',
      '/no.crt',
      '--tls-key',
      '/no.key',
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /--tls-cert \/no\.crt, --tls-key \/no\.key: /);
  });

  test('a shared certificate without a cluster: exit 1, with the remedy', async () => {
    const { status, stderr } = await runCommand([
      ...['serve', '--settings', settings, '--tls-secret', 'x', '--tls-name', 'y', '--namespace', 'z'],
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /--tls-secret needs a cluster: .*--kubeconfig/);
  });

  test('an API server that is away: it starts and answers by its settings, and says what is missing', async () => {
    const folder = temporaryFolder('serve-');
    const kubeconfig = path.join(folder, 'kubeconfig');
    writeFileSync(
      kubeconfig,
      `apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: a, user: {token: x}}]
`,
    );
    const made = await makeServingCertificate(['localhost'], 86_400_000);
    writeFileSync(path.join(folder, 'tls.crt'), made.certificate);
    writeFileSync(path.join(folder, 'tls.key'), made.key);
    const child = spawn(
      process.execPath,
      [
        ...[program, 'serve', '--settings', settings, '--kubeconfig', kubeconfig, '--host', '127.0.0.1'],
        ...['--tls-cert', path.join(folder, 'tls.crt'), '--tls-key', path.join(folder, 'tls.key')],
        ...anyPorts,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let port = 0;
    let healthPort = 0;
    let metricsPort = 0;
    for await (const one of createInterface({ input: child.stdout })) {
      const line = JSON.parse(one);
      if (line.msg !== 'serving') continue;
      ({ port, healthPort, metricsPort } = line);
      break;
    }
    const review = readFileSync(path.join(examples, 'review.json'), 'utf8');
    const { body } = await post(port, made.ca, '/mutate', review);
    assert.equal(body.response.auditAnnotations.reason, 'injected');
    const readiness = () => fetch(`http://127.0.0.1:${healthPort}/readyz`);
    const first = await readiness();
    assert.match(await first.text(), /namespaces: not listed yet, only the settings apply/);
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    assert.match(metrics, /^falco_federation_namespaces_synced 0$/m);
    assert.match(metrics, /^falco_federation_admission_decisions_total\{reason="injected"\} 1$/m);
    await until('it is ready without an API server', async () => (await readiness()).status === 200);
    child.kill('SIGINT');
    assert.equal((await once(child, 'exit'))[0], 0);
  });

  test('starts, is ready, takes a new certificate without a restart, stops on SIGTERM with 0', async () => {
    const folder = temporaryFolder('serve-');
    const [cert, key] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')];
    const write = async (): Promise<string> => {
      const made = await makeServingCertificate(['localhost'], 86_400_000);
      writeFileSync(cert, made.certificate);
      writeFileSync(key, made.key);
      return made.ca;
    };
    const firstCa = await write();
    const args = ['--settings', settings, '--tls-cert', cert, '--tls-key', key, '--host', '127.0.0.1'];
    const child = spawn(process.execPath, [program, 'serve', ...args, ...anyPorts], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const said = async (message: string): Promise<Record<string, unknown>> => {
      for (;;) {
        const line = JSON.parse(String((await lines.next()).value));
        if (line.msg === message) return line;
      }
    };
    const { port, healthPort } = await said('serving');
    const review = readFileSync(path.join(examples, 'review.json'), 'utf8');
    assert.equal((await post(Number(port), firstCa, '/mutate', review)).status, 200);
    const ready = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    assert.match(
      await ready.text(),
      /\[\+\] serving: ok\n\[\+\] settings: ok, [0-9a-f]{12}\n\[\+\] certificate: ok, until /,
    );
    const secondCa = await write();
    await said('certificate reread');
    assert.equal((await post(Number(port), secondCa, '/mutate', review)).status, 200);
    await assert.rejects(post(Number(port), firstCa, '/mutate', review), /certificate/);
    child.kill('SIGTERM');
    const [status] = await once(child, 'exit');
    assert.equal(status, 0);
  });

  test('--local prints the request to try, with the port it got', async () => {
    const child = spawn(
      process.execPath,
      [program, 'serve', '--local', '--settings', settings, ...anyPorts],
      { cwd: temporaryFolder('serve-'), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    for await (const chunk of child.stdout) {
      output += String(chunk);
      if (output.includes('Stop with Ctrl-C')) break;
    }
    assert.match(output, /curl .*https:\/\/localhost:[1-9]\d*\/mutate/);
    child.kill('SIGINT');
    assert.deepEqual((await once(child, 'exit'))[0], 0);
  });
});
