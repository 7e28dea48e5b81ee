/**
 * What the bundle has in place of `import 'node:http'`: the namespace of that reads every member, and one of them loads
 * undici, 4 MiB that no server of ours uses.
 */
module.exports = process.getBuiltinModule('node:http');
