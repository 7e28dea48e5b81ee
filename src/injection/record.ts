/** Whether a value from outside is a mapping, as Kubernetes objects and most of their fields are. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
