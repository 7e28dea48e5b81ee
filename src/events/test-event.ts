/** An event that says that it is none: whoever sees it knows that the way is open. */
export const testRule = 'Falco federation test event';

/** @param priority as Falco spells it */
export function testEvent(priority = 'Debug', hostname = 'falco-federation'): Buffer {
  const event = {
    ...{ output: 'This is a test of falco-federation: nothing has happened', source: 'debug' },
    ...{ priority, hostname, rule: testRule, time: new Date().toISOString() },
    ...{ output_fields: { 'proc.name': 'falco-federation' }, tags: ['test'] },
  };
  return Buffer.from(JSON.stringify(event));
}
