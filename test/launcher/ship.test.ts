/** `ship-alerts`: every alert reaches the forwarder, whatever that does meanwhile. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { until } from '../until.ts';
import { cannotCompile, compile, openFolder } from './compiled.ts';
import { stopped } from './running.ts';
import { alert, live, ship, startShipping, write } from './shipping.ts';
import { answerTo, type Behaviour, standIn } from './stand-in.ts';

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `${from + at}`);

describe('ship-alerts', { skip: cannotCompile }, () => {
  test('each alert once, in its order, under a key of its own; nothing is left of them', async (t) => {
    const forwarder = await standIn(t);
    const { folder, child, said, write } = await ship(t, forwarder.url);
    assert.equal(statSync(join(folder, 'live')).mode & 0o777, 0o777, 'Falco may be another user');
    assert.equal(statSync(live(folder)).mode & 0o777, 0o666);
    for (const number of numbers(0, 300)) write(alert(number, 'x'.repeat(500)));
    await until('all have come', () => forwarder.events.size === 300);
    assert.deepEqual(forwarder.outputs(), numbers(0, 300));
    assert.equal(forwarder.lines(), 300);
    await until('their room is given back', () => statSync(live(folder)).blocks * 512 <= 16_384);
    assert.equal(await stopped(child), 0);
    assert.match(said.err, /300 delivered, 0 of them sent twice, 0 refused .*, 0 cut off .*, 0 dropped/);
  });

  test('at rest an alert is there at once, and what comes together goes together', async (t) => {
    const forwarder = await standIn(t);
    const { child, write } = await ship(t, forwarder.url);
    const took: number[] = [];
    for (let times = 0; times < 5; times++) {
      await wait(150);
      write(alert(`${times}`));
      took.push(await until('it has come', () => forwarder.events.size === times + 1));
    }
    assert.ok(Math.min(...took) < 100, `${took}`);
    const before = forwarder.requests();
    const from = performance.now();
    for (const number of numbers(10, 40)) {
      write(alert(number));
      await wait(5);
    }
    const togetherFor = performance.now() - from;
    await until('all have come', () => forwarder.events.size === 35);
    const requests = forwarder.requests() - before;
    if (togetherFor < 500) assert.ok(requests < 15, `${requests} requests`);
    assert.equal(await stopped(child), 0);
  });

  test('without inotify it looks now and then, and says so', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, write, says } = await ship(t, forwarder.url, { decided: { NO_INOTIFY: '1' } });
    await says('inotify unavailable (Too many open files); polling every');
    for (const number of numbers(0, 3)) {
      write(alert(number));
      await until('it has come', () => forwarder.outputs().includes(number));
    }
    assert.equal(await stopped(child), 0);
    assert.equal(said.err.match(/unavailable/g)?.length, 1);
  });

  test('what is no whole event costs itself only', async (t) => {
    const forwarder = await standIn(t);
    const { child, says, write } = await ship(t, forwarder.url);
    const cut = (text: string, by: number): string => text.slice(0, -by);
    // A full volume: the line ends anywhere, and the next one stands right behind, once there is room again.
    const whole = alert('cut', '{}{"a":1}');
    for (let by = 2; by < whole.length; by++) write(cut(whole, by) + alert(`behind ${by}`, '}'));
    // Only its line break is missing.
    write(cut(alert('first'), 1) + alert('second'));
    write('12:00:01.1: Notice text, as without json_output {"a":1}\n\n[]\n');
    write(alert('quotes', '\\"}{\\\\'));
    write(`{"output":"${'x'.repeat(70_000)}"}\n`);
    write('{"a":'.repeat(10_000));
    write(`\n${'{"a":1}'.repeat(2_000)}\n`);
    write(alert('last'));
    await until('the last one has come', () => forwarder.outputs().includes('last'));
    const expected = [...Array.from({ length: whole.length - 2 }, (_, at) => `behind ${at + 2}`)];
    assert.deepEqual(
      forwarder.outputs().filter((output) => output !== 'undefined'),
      [...expected, 'first', 'second', 'quotes', 'last'],
    );
    // The last line, when nothing more comes.
    write(cut(alert('no line break'), 1));
    await until('it has come', () => forwarder.outputs().includes('no line break'));
    write('{"cut":');
    await wait(600);
    assert.equal(await stopped(child), 0);
    await says(`${whole.length - 2 + 7} cut off or not JSON`);
  });

  test('what the forwarder refuses is counted, said once, and not sent again', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, says, write } = await ship(t, forwarder.url);
    forwarder.behave(({ lines, answer }) => {
      answer.setHeader('content-type', 'application/json; charset=utf-8');
      answer.end(answerTo(lines.length, 0, [...lines.keys()], 'not JSON: at "x"\n'));
    });
    write(alert('1') + alert('2'));
    await says('refuses alerts, which are not sent again: not JSON: at ');
    write(alert('3'));
    await until('it was sent', () => forwarder.requests() === 2);
    forwarder.behave();
    write(alert('4'));
    await until('the next one has come', () => forwarder.outputs().includes('4'));
    assert.deepEqual(forwarder.outputs(), ['4']);
    assert.equal(await stopped(child), 0);
    assert.match(said.err, /1 delivered, 0 of them sent twice, 3 refused/);
    assert.equal(said.err.match(/refuses/g)?.length, 1);
  });

  test('a way that answers each alert by an error, until it does not, costs none', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, write } = await ship(t, forwarder.url);
    const all = numbers(0, 20);
    for (const wrong of [1, 2, 3, 7, 12, 30]) {
      let left = wrong;
      forwarder.behave((posted) => {
        if (left-- > 0) posted.answer.writeHead(400).end();
        else forwarder.take(posted);
      });
      write(all.map((one) => alert(`${wrong}/${one}`)).join(''));
      await until('all have come', () => forwarder.events.size % all.length === 0 && left < 0);
    }
    await until('all have come', () => forwarder.events.size === 6 * all.length);
    assert.equal(await stopped(child), 0);
    assert.match(said.err, / 0 refused/);
  });

  test('too large for the forwarder: in smaller batches, and one alone is given up', async (t) => {
    const forwarder = await standIn(t);
    const { child, says, write } = await ship(t, forwarder.url);
    forwarder.behave((posted) => {
      if (posted.bytes > 2_000) posted.answer.writeHead(413, { connection: 'close' }).end();
      else forwarder.take(posted);
    });
    write(
      numbers(0, 40)
        .map((one) => alert(one))
        .join('') +
        alert('large', 'x'.repeat(3_000)) +
        alert('last'),
    );
    await until('all but one have come', () => forwarder.events.size === 41);
    assert.deepEqual(forwarder.outputs(), [...numbers(0, 40), 'last']);
    await says('refuses alerts, which are not sent again: one is too large');
    assert.equal(await stopped(child), 0);
  });

  test('at SIGTERM it goes on until Falco has ended, and not for ever', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, write } = await ship(t, forwarder.url, {
      args: ['--grace', '20'],
      decided: { QUIET: '2000' },
    });
    child.kill('SIGTERM');
    for (const number of numbers(0, 10)) {
      write(alert(number));
      await wait(50);
    }
    assert.equal(child.exitCode, null);
    await until('it ends', () => child.exitCode !== null);
    assert.deepEqual([child.exitCode, forwarder.outputs()], [0, numbers(0, 10)]);
    assert.doesNotMatch(said.err, /not delivered/);

    await forwarder.stop();
    const second = await ship(t, forwarder.url, { args: ['--grace', '1'] });
    second.write(alert('never'));
    await second.says('does not take alerts: Connection refused; they are kept, retrying');
    second.child.kill('SIGTERM');
    const took = await until('it ends', () => second.child.exitCode !== null);
    assert.ok(took > 700 && took < 20_000, `${took}`);
    assert.match(second.said.err, /ended with \d+ bytes of alerts not delivered/);
  });

  test('by IPv6', async (t) => {
    const forwarder = await standIn(t, '::1');
    const { child, write } = await ship(t, `${forwarder.url}/`);
    write(alert('six'));
    await until('it has come', () => forwarder.events.size === 1);
    assert.equal(await stopped(child), 0);
  });

  const ownHosts = spawnSync('unshare', ['--mount', 'true']).status === 0;

  for (const how of [undefined, 'static'] as const) {
    const skip = !ownHosts && 'needs a mount namespace';
    test(`by name: all its addresses are tried, and asked for anew (${how ?? 'checked'})`, {
      skip,
    }, async (t) => {
      const first = await standIn(t);
      const hosts = join(openFolder(), 'hosts');
      writeFileSync(hosts, `::1 forwarder\n127.0.0.2 forwarder\n127.0.0.1 forwarder\n`);
      const { child, write, says } = await ship(t, `http://forwarder:${first.port}`, {
        ...(how && { how }),
        through: ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts],
      });
      write(alert('1'));
      await until('it has come', () => first.events.size === 1);
      await first.stop();
      write(alert('2'));
      await says('does not take alerts: Connection refused');
      const second = await standIn(t, '127.0.0.3', first.port);
      writeFileSync(hosts, '127.0.0.3 forwarder\n');
      await until('it has come', () => second.events.size === 1);
      assert.equal(await stopped(child), 0);
    });
  }

  test('a name that is not there yet', async (t) => {
    const { child, says, write } = await ship(t, 'http://forwarder.invalid:2801');
    write(alert('1'));
    await says('the forwarder at forwarder.invalid:2801 does not take alerts: ');
    child.kill('SIGKILL');
  });

  test('no proxy is asked, whatever the environment says', async (t) => {
    const forwarder = await standIn(t);
    const proxy = await standIn(t);
    for (const name of ['http_proxy', 'HTTP_PROXY', 'ALL_PROXY']) process.env[name] = proxy.url;
    t.after(() => {
      for (const name of ['http_proxy', 'HTTP_PROXY', 'ALL_PROXY']) delete process.env[name];
    });
    const { child, write } = await ship(t, forwarder.url);
    write(alert('direct'));
    await until('it has come', () => forwarder.events.size === 1);
    assert.equal(proxy.requests(), 0);
    assert.equal(await stopped(child), 0);
  });

  test('wrong use; and an address that cannot be used, which ends nothing', async (t) => {
    const run = (...args: string[]) => spawnSync(compile(), ['ship-alerts', ...args], { encoding: 'utf8' });
    for (const args of [
      ...[[], ['--folder', 'a'], ['--to', 'http://a'], ['--folder'], ['a', 'b'], ['--no', 'b']],
      ...[['--folder', 'a', '--to', 'http://a', '--grace', 'x']],
    ]) {
      const { status, stderr } = run(...args);
      assert.deepEqual([status, /Usage: /.test(stderr)], [2, true], args.join(' '));
    }
    assert.deepEqual([run('--help').status, /--grace/.test(run('--help').stdout)], [0, true]);
    const addresses = [
      ...[
        'https://a:1',
        'http://',
        'http://:1',
        'http://a:0',
        'http://a:65536',
        'http://a:1x',
        'http://[::1',
        'a:1',
      ],
      ...['http://a/path', 'http://a b', `http://${'a'.repeat(256)}`, 'http://a:99999999999999999999'],
    ];
    const ended = addresses.map(async (to) => {
      const { child, says } = await ship(t, to);
      await says('is not of the form http://HOST[:PORT]: alerts are not delivered');
      return stopped(child);
    });
    assert.deepEqual(
      await Promise.all(ended),
      addresses.map(() => 0),
    );
  });
});

describe('the forwarder misbehaves', { skip: cannotCompile }, () => {
  const json = { 'content-type': 'application/json' };
  const status =
    (code: number, headers: Readonly<Record<string, string>>, body: (lines: number) => string): Behaviour =>
    ({ answer, lines }) =>
      answer.writeHead(code, headers).end(body(lines.length));
  const raw =
    (text: string, ends: boolean): Behaviour =>
    ({ request }) => {
      request.socket.write(text);
      if (ends) request.socket.end();
    };
  const whole = (lines: number): string => answerTo(lines);
  const cases: readonly (readonly [string, Behaviour, string])[] = [
    ['hangs', () => undefined, 'no whole answer for too long'],
    ['drops the connection', ({ request }) => request.socket.destroy(), 'closed the connection'],
    ['resets it', ({ request }) => request.socket.resetAndDestroy(), 'Connection reset'],
    ['503', status(503, { 'retry-after': '1' }, () => 'full\nof it'), 'it answers 503 full; '],
    ['503 with a whole answer', status(503, json, whole), 'it answers 503 {'],
    ['429', status(429, {}, () => ''), 'it answers 429'],
    ['400', status(400, {}, () => 'what?'), 'it answers 400 what?'],
    ['302', status(302, { location: '/sign-in' }, () => ''), 'it answers 302'],
    ['204', status(204, {}, () => ''), 'it answers 204'],
    [
      '200 with a page',
      status(200, { 'content-type': 'text/html' }, () => '<html>'),
      'not as a forwarder does: <html>',
    ],
    [
      '200 of another type',
      status(200, { 'content-type': 'text/plain' }, whole),
      'not as a forwarder does: {"acc',
    ],
    ['200 with nothing', status(200, json, () => ''), 'not as a forwarder does'],
    ['200 with {}', status(200, json, () => '{}'), 'not as a forwarder does'],
    ['200 with other counts', status(200, json, (lines) => answerTo(lines + 1)), 'not as a forwarder does'],
    ['200 that goes on', status(200, json, (lines) => `${whole(lines)}x`), 'not as a forwarder does'],
    ['200 with a NUL', status(200, json, (lines) => `${whole(lines)}\0]}`), 'not as a forwarder does'],
    [
      '200 with some later',
      status(200, json, (lines) => whole(lines).replace('later":0', 'later":1')),
      'not as',
    ],
    ['an endless answer', status(200, json, () => 'x'.repeat(300_000)), 'its answer is too long'],
    ['garbage', raw('220 mail ready\r\n\r\n', true), 'what answers does not speak HTTP'],
    ['half a head', raw('HTTP/1.1 200 OK\r\ncontent-type: appl', true), 'closed the connection'],
    [
      'half an answer',
      raw('HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{"accepted":3,', true),
      'closed the connection',
    ],
    [
      'half an answer and waits',
      raw('HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{', false),
      'no whole answer',
    ],
    [
      'half a chunk',
      raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{', true),
      'closed the conn',
    ],
    [
      'a chunk of no size',
      raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', false),
      'is no HTTP',
    ],
    ['a negative length', raw('HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n', false), 'too long'],
    [
      'a huge chunk',
      raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\n{', false),
      'too long',
    ],
    [
      'one byte a moment',
      ({ request }) => {
        const text = `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(1_000)}`;
        let at = 0;
        const slowly = setInterval(() => request.socket.write(text[at++] ?? 'x'), 50);
        request.socket.on('close', () => clearInterval(slowly));
        request.socket.on('error', () => undefined);
      },
      'no whole answer for too long',
    ],
  ];

  test('nothing is lost, and nothing is taken for delivered', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, says, write } = await ship(t, forwarder.url, { decided: { POST_TIME: '1500' } });
    for (const [name, behaviour, reason] of cases) {
      await t.test(name, async () => {
        const from = said.err.length;
        const before = forwarder.events.size;
        forwarder.behave(behaviour);
        write(alert(`${name} 1`) + alert(`${name} 2`));
        await says('does not take alerts: ', from);
        assert.ok(said.err.slice(from).includes(reason), `${said.err.slice(from)} is not ${reason}`);
        forwarder.behave();
        await says('takes alerts again', from);
        await until('both have come', () => forwarder.events.size === before + 2);
      });
    }
    // With an error that may be an alert's own those behind it are tried first.
    assert.deepEqual(
      forwarder.outputs().sort(),
      cases.flatMap(([name]) => [`${name} 1`, `${name} 2`]).sort(),
    );
    assert.equal(await stopped(child), 0);
  });

  test('in ways that are fine: chunks, a connection closed while idle', async (t) => {
    const forwarder = await standIn(t);
    const { child, said, write } = await ship(t, forwarder.url);
    const fine: readonly Behaviour[] = [
      (posted) => {
        forwarder.take({ ...posted, answer: { setHeader: () => undefined, end: () => undefined } as never });
        posted.answer.writeHead(200, json);
        posted.answer.write(whole(posted.lines.length).slice(0, 20));
        posted.answer.end(whole(posted.lines.length).slice(20));
      },
      (posted) => {
        forwarder.take(posted);
        posted.answer.on('finish', () => setTimeout(() => posted.request.socket.destroy(), 20));
      },
      forwarder.take,
    ];
    for (const [at, behaviour] of fine.entries()) {
      forwarder.behave(behaviour);
      write(alert(`${at}`));
      await until('it has come', () => forwarder.events.size === at + 1);
      await wait(150);
    }
    assert.equal(forwarder.lines(), fine.length);
    assert.equal(await stopped(child), 0);
    assert.doesNotMatch(said.err, /does not take/);
  });

  test('it takes no connections: nothing listens, or nobody accepts', async (t) => {
    const forwarder = await standIn(t);
    await forwarder.stop();
    const first = await ship(t, forwarder.url);
    first.write(alert('1'));
    await first.says('does not take alerts: Connection refused');
    await forwarder.start();
    await until('it has come', () => forwarder.events.size === 1);
    assert.equal(await stopped(first.child), 0);

    // A stopped process with a full backlog: packets to it are dropped, as by a NetworkPolicy.
    const deaf = spawn(process.execPath, [
      '-e',
      "require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})",
    ]);
    t.after(() => deaf.kill('SIGKILL'));
    const [port] = (await once(deaf.stdout, 'data')).map(Number);
    deaf.kill('SIGSTOP');
    const fillers = Array.from({ length: 4 }, () =>
      connect(port ?? 0, '127.0.0.1').on('error', () => undefined),
    );
    t.after(() => {
      for (const filler of fillers) filler.destroy();
    });
    await wait(100);
    const second = await ship(t, `http://127.0.0.1:${port}`, { decided: { CONNECT_TIME: '300' } });
    second.write(alert('2'));
    await second.says('does not take alerts: Connection timed out');
    second.child.kill('SIGKILL');
  });
});

describe('the folder is not as it should be', { skip: cannotCompile }, () => {
  const isRoot = process.getuid?.() === 0;

  test('it is missing or cannot be written: that is said once, and it goes on when it can', async (t) => {
    const forwarder = await standIn(t);
    const outer = openFolder();
    const folder = join(outer, 'none/at-all');
    const { child, said } = startShipping(t, forwarder.url, { folder });
    await until('it says so', () => said.err.includes(`cannot make ${folder}/: No such file or directory`));
    await wait(400);
    assert.equal(said.err.match(/cannot make/g)?.length, 1);
    mkdirSync(join(outer, 'none'));
    await until('the file is there', () => existsSync(live(folder)));
    write(folder, alert('1'));
    await until('it has come', () => forwarder.events.size === 1);

    // All of it goes, while it runs.
    rmSync(folder, { recursive: true });
    writeFileSync(folder, 'in the way');
    child.kill('SIGTERM');
    await until('it ends', () => child.exitCode !== null);
    assert.equal(child.exitCode, 0);
  });

  test('Falco was first: its file makes way, and all of it arrives', {
    skip: !isRoot && 'needs root',
  }, async (t) => {
    for (const [owner, mode] of [
      [0, 0o644],
      [65532, 0o644],
    ] as const) {
      const forwarder = await standIn(t);
      const folder = openFolder();
      mkdirSync(join(folder, 'live'));
      for (const path of [folder, join(folder, 'live')]) chmodSync(path, 0o777);
      writeFileSync(
        live(folder),
        numbers(0, 100)
          .map((one) => alert(one))
          .join(''),
      );
      chownSync(live(folder), owner, owner);
      chmodSync(live(folder), mode);
      const through = ['setpriv', '--reuid=65532', '--regid=65532', '--clear-groups'];
      const { child, said } = startShipping(t, forwarder.url, { folder, through });
      await until('all have come', () => forwarder.events.size === 100);
      write(folder, alert('new'));
      await until('it has come', () => forwarder.events.size === 101);
      assert.deepEqual(forwarder.outputs(), [...numbers(0, 100), 'new']);
      assert.equal(statSync(live(folder)).uid, 65532);
      assert.equal(await stopped(child), 0, said.err);
    }
  });

  test('the file is emptied, replaced or removed: what comes then arrives, under new keys', async (t) => {
    const forwarder = await standIn(t);
    const { folder, child, write } = await ship(t, forwarder.url);
    const spoil = [
      () => truncateSync(live(folder)),
      () => rmSync(live(folder)),
      () => writeFileSync(live(folder), ''),
      () => {
        renameSync(join(folder, 'live'), join(folder, 'gone'));
        rmSync(join(folder, 'gone'), { recursive: true });
        return until('it is made again', () => existsSync(live(folder)));
      },
    ];
    for (const [at, one] of spoil.entries()) {
      write(alert(`${at}`));
      await until('it has come', () => forwarder.outputs().includes(`${at}`));
      await one();
      write(alert(`${at} anew`));
      await until('it has come too', () => forwarder.outputs().includes(`${at} anew`));
    }
    assert.equal(forwarder.events.size, 2 * spoil.length);
    assert.equal(await stopped(child), 0);
  });
});
