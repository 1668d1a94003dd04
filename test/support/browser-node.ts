/** What a page imports to be a node that dials: the entry of the bundle in `test/browser.test.ts`. */

export { MultiServer, Network } from "@testudo/core";
export { noise } from "@testudo/transports/noise";
export { ws } from "@testudo/transports/ws";
