import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { root } from '../real/places.ts';

test('what callbacks of watches, timers and signals throw is told and ends no server', () => {
  const program = `
    import { keepRunning } from './src/commands/followed-settings.ts';
    keepRunning({ error: ({ err }, message) => console.log(message, err.message) });
    process.on('SIGUSR2', () => { throw new Error('signal'); });
    setTimeout(() => { throw new TypeError('timer'); });
    setTimeout(async () => { throw new Error('watch'); });
    setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 10);
    setTimeout(() => console.log('still here'), 200);`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  for (const thrown of ['timer', 'watch', 'signal'])
    assert.ok(stdout.includes(`internal error in the background; please report it ${thrown}\n`), stdout);
  assert.match(stdout, /still here\n$/);
});
