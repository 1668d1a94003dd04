/**
 * The original with the one option its users cannot set, as a second line beside `multiserver-published`.
 */

import { forceNoDelay } from "../lib/multiserver-node.mjs";

export const about =
  "multiserver 3.8.2, net~shs, chloride 2.4.1 on native sodium 3.4.1, TCP_NODELAY forced";
export const sealed = true;
export { createDialer, listen } from "../lib/multiserver-bytes.mjs";

forceNoDelay();
