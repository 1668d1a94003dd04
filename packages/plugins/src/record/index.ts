/**
 * Contact records: signed, numbered, and short-lived. What discovery and gossip pass around so that nodes find
 * each other, and what an application may publish by a way of its own.
 */

export { type Entered, RecordBook } from "./book.ts";
export { firstHost, hostsOf, scopeOfAddress, scopeOfHost } from "./host.ts";
export { OwnRecord, type OwnRecordOptions } from "./own-record.ts";
export {
  addressesFor,
  CLOCK_SKEW_MS,
  type ContactRecord,
  isExpired,
  MAX_ADDRESSES,
  MAX_RECORD_BYTES,
  RECORD_LIFE_MS,
  type RecordFields,
  readRecord,
  signRecord,
} from "./record.ts";
