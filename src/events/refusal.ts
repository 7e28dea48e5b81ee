/** Why a request, or a line of it, is not taken: a metric's label. */
export type RefusalReason =
  | 'not_json'
  | 'not_one_event'
  | 'no_rule'
  | 'no_time'
  | 'bad_priority'
  | 'bad_field'
  | 'bad_key'
  | 'too_deep'
  | 'too_large'
  | 'too_slow'
  | 'too_many'
  | 'method'
  | 'type'
  | 'not_readable'
  | 'not_let_in'
  | 'unsafe'
  | 'internal';

/** A request that is not taken, with its HTTP status. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly status: number;
  constructor(status: number, reason: RefusalReason, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}
