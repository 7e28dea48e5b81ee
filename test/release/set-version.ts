/** What `npm version` runs: package.json has the new version already. */
import { packageVersion, writeVersion } from './versions.ts';

writeVersion(packageVersion());
