/** Inside of a JSON text such characters are a key: in a string their quotes would be escaped. */
const key = '"managedFields":[';

/**
 * Parses the body of an admission request, but for `metadata.managedFields`: more than half of a pod's review, and
 * nothing that we read or that a patch of ours has to do with (FACTS 4.7).
 *
 * What is cut out ends with the first `]`, which is the list's own but for odd names of fields. Where it is not, the
 * rest is no JSON: it then has a closing bracket too many, or begins within a string and has a quote too many. So the
 * whole is parsed then.
 *
 * On the hot path: half the time of `JSON.parse` of the whole, which is the largest part of an answer.
 *
 * @throws SyntaxError as `JSON.parse` does
 */
export function parseReview(body: string): unknown {
  const at = body.indexOf(key);
  const end = body.indexOf(']', at);
  if (at === -1 || end === -1) return JSON.parse(body);
  try {
    return JSON.parse(body.slice(0, at + key.length) + body.slice(end));
  } catch {
    return JSON.parse(body);
  }
}
