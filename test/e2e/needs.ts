/** What a suite needs of the machine beside Node. */
import { missing } from '../real/machine.ts';
import { missingClients } from './clients/programs.ts';
import { missingPrograms } from './control-plane.ts';

const kinds = {
  'control plane': { missing: missingPrograms, from: '.ci/install-control-plane' },
  clients: { missing: missingClients, from: '.ci/install-clients' },
  image: { missing, from: '.ci/install-tools' },
} as const;

/**
 * Why a suite is left out here; `false` where it can run, and where CI is set: there it fails by what is missing.
 */
export function leftOut(...needs: readonly (keyof typeof kinds)[]): false | string {
  if (process.env.CI === 'true') return false;
  const lacking = needs.flatMap((need) => {
    const programs = kinds[need].missing();
    return programs.length === 0 ? [] : [`${programs.join(', ')} (see ${kinds[need].from})`];
  });
  return lacking.length > 0 && `needs ${lacking.join(', ')}`;
}
