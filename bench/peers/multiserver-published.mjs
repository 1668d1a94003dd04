/**
 * The original as its users get it: net~shs over bytes, with Nagle's delay on and each box in two writes.
 */

export const about =
  "multiserver 3.8.2 as published, net~shs, chloride 2.4.1 on native sodium 3.4.1";
export const sealed = true;
export { createDialer, listen } from "../lib/multiserver-bytes.mjs";
