/** What a request may be, for forwarder and receiver alike (docs/delivery.md). */

const mebibyte = 1024 * 1024;

/** Bytes of a body as it is sent: what one connection may take of our memory. */
export const largestBody = 4 * mebibyte;
/** Bytes of a body when it is decompressed. */
export const largestDecoded = 8 * mebibyte;
/** Bytes of one event. */
export const largestEvent = mebibyte;
export const mostLines = 5_000;
/** Levels of objects and lists in an event; Falco's have three. */
export const deepest = 100;
/** Bytes of all requests that are being read or kept at once: what a thousand senders may take of our memory. */
export const mostAtOnce = 16 * mebibyte;
/** How an event is named by its sender. */
export const keyPattern = /^[A-Za-z0-9._/:-]{1,200}$/;
