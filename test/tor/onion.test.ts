/** `onion` through real tor: a network of a few local nodes, and an onion service that points to our listener. */

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Connection,
  deferred,
  equal,
  Identity,
  type Listener,
  MultiServer,
  type MultiStream,
  type Serving,
  section,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { type OnionOptions, onion } from "@testudo/transports/onion";
import { unix } from "@testudo/transports/unix";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { watchLeaks } from "../support/leaks.ts";
import { echo, failureOf, pattern, Reader, readAll, writeAll } from "../support/traffic.ts";
import { startTorNetwork, type TorNetwork } from "./network.ts";
import { hasTor } from "./tor-process.ts";

/** The v3 name of a key (rend-spec-v3, section 6): base32 of key, checksum and version. */
function onionOf(publicKey: Uint8Array): string {
  const sum = createHash("sha3-256").update(".onion checksum").update(publicKey).update("\x03");
  const bits = [...publicKey, ...sum.digest().subarray(0, 2), 3]
    .map((byte) => byte.toString(2).padStart(8, "0"))
    .join("");
  const letters = bits.match(/.{5}/g)?.map((five) => BASE32[Number.parseInt(five, 2)]);
  return `${letters?.join("")}.onion`;
}

/** It takes 12 to 25 s; on a busy machine a consensus may come a few voting intervals later. */
const START_MS = 150_000;
const TEST_MS = 60_000;
const PORT = 8008;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const MEBIBYTE = 1_048_576;

const installed = await hasTor();
if (!installed) it.skip("skipped: tor is not installed; .ci/run installs it", () => {});

describe.skipIf(!installed)("onion through a Tor network", { timeout: TEST_MS }, () => {
  let tor: TorNetwork;
  let leaks: () => Promise<void>;
  let folder = "";
  let listener: Listener | undefined;
  let serving: Serving | undefined;
  /** The onion services: of bare connections over `net`, and of `noise` over `unix`. */
  let bare = "";
  let sealed = "";
  const key = Identity.generate();
  const opened: { abort(reason: Error): void }[] = [];
  let onConnection: (connection: Connection) => void = () => {};
  let onStream: (stream: MultiStream) => void = () => {};

  beforeAll(async () => {
    leaks = watchLeaks();
    tor = await startTorNetwork(AbortSignal.timeout(START_MS));
    folder = mkdtempSync(join(tmpdir(), "testudo-"));
    listener = await net().listen?.(section("net", "127.0.0.1", "0"), (connection) => {
      opened.push(connection);
      onConnection(connection);
    });
    const node = new MultiServer([[unix({ path: folder }), noise()]], { identity: key });
    serving = await node.server((stream) => {
      opened.push(stream);
      onStream(stream);
    });
    bare = await tor.publish(PORT, `127.0.0.1:${listener?.section.args.at(-1)}`);
    sealed = await tor.publish(PORT, `unix:${join(folder, "socket")}`);
  }, START_MS + TEST_MS);
  afterEach(() => {
    for (const each of opened.splice(0)) each.abort(new Error("over"));
  });
  afterAll(async () => {
    await listener?.close();
    await serving?.close({ graceMs: 0 });
    await tor?.stop();
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
    await leaks();
  }, TEST_MS);

  async function dial(
    host: string,
    options: OnionOptions = {},
    port: number = PORT,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Connection> {
    const transport = onion({ proxy: tor.socks, ...options });
    const connection = await transport.dial(section("onion", host, String(port)), { signal });
    opened.push(connection);
    return connection;
  }

  /** Both ends of one connection to the bare service. */
  async function pair(): Promise<{ dialed: Connection; accepted: Connection }> {
    const arrived = deferred<Connection>();
    onConnection = arrived.resolve;
    const dialed = await dial(bare);
    return { dialed, accepted: await arrived.promise };
  }

  /** Both ends of one stream to the sealed service. */
  async function streams(
    expected: Identity = key,
  ): Promise<{ near: MultiStream; far: MultiStream }> {
    const arrived = deferred<MultiStream>();
    onStream = arrived.resolve;
    const node = new MultiServer([[onion({ proxy: tor.socksFile }), noise()]], {
      limits: { dialTimeoutMs: TEST_MS },
    });
    const near = await node.client(`onion:${sealed}:${PORT}~${noise().section(expected).text}`);
    opened.push(near);
    return { near, far: await arrived.promise };
  }

  describe("under noise", () => {
    it.each([1, 1_000, MEBIBYTE])(
      "echoes %i bytes with the node whose key is in the address",
      async (size) => {
        const { near, far } = await streams();
        expect(near.remote?.text).toBe(key.id.text);
        expect(near.address).toContain(`onion:${sealed}:${PORT}~noise:`);
        void echo(far);
        const sent = pattern(size, size);
        const reading = new Reader(near).take(size);
        await writeAll(near, [sent]);
        expect(equal(await reading, sent)).toBe(true);
      },
    );

    it("refuses a node with another key", async () => {
      expect(await failureOf(streams(Identity.generate()))).toMatchObject({
        code: "PEER_UNEXPECTED",
      });
    });

    it("ends one direction after the other, by goodbyes", async () => {
      const { near, far } = await streams();
      near.write(pattern(100));
      await near.end();
      expect(await readAll(far)).toEqual(pattern(100));
      far.write(pattern(200_000));
      await far.end();
      expect(equal(await readAll(near), pattern(200_000))).toBe(true);
      expect(await Promise.all([near.closed, far.closed])).toEqual([undefined, undefined]);
    });

    it.each(["dialer", "listener"] as const)(
      "tells that the %s aborted from an end",
      async (who) => {
        const { near, far } = await streams();
        const [cutter, other] = who === "dialer" ? [near, far] : [far, near];
        const reader = new Reader(other);
        void writeAll(cutter, [pattern(MEBIBYTE)]);
        expect(await reader.take(10)).toEqual(pattern(MEBIBYTE).subarray(0, 10));
        cutter.abort(new Error("in the middle"));
        expect(await failureOf(reader.take(2 * MEBIBYTE))).toMatchObject({ code: "TRUNCATED" });
        expect(await other.closed).toMatchObject({ code: "TRUNCATED" });
      },
    );
  });

  describe("alone", () => {
    it("brings all that was written before an end, and then ends both directions", async () => {
      const { dialed, accepted } = await pair();
      expect(dialed.local).toBe(false);
      dialed.write(pattern(MEBIBYTE));
      await dialed.end();
      // Tor ends our reading too, though the other side has not ended: there is no half-close.
      expect((await readAll(dialed)).length).toBe(0);
      expect(await dialed.closed).toBeUndefined();
      expect(equal(await readAll(accepted), pattern(MEBIBYTE))).toBe(true);
    });

    it("cannot tell that the other side aborted from an end", async () => {
      const { dialed, accepted } = await pair();
      accepted.write(pattern(10));
      const reader = new Reader(dialed);
      await reader.take(10);
      accepted.abort(new Error("cut"));
      expect(await failureOf(reader.take(1))).toMatchObject({
        message: "ended after 0 of 1 bytes",
      });
    });

    it("says what tor says", async () => {
      const nobody = onionOf(Identity.generate().publicKey);
      for (const [host, port, why] of [
        [bare, 9, "nobody listens there"],
        [nobody, PORT, "the onion service is not known"],
        ["short.onion", PORT, "the onion address is not valid"],
      ] as const) {
        expect(await failureOf(dial(host, {}, port))).toMatchObject({
          code: "DIAL_REFUSED",
          address: `onion:${host}:${port}`,
          message: expect.stringContaining(why),
        });
      }
    });

    it("stops when the signal fires", async () => {
      const reason = new Error("changed my mind");
      const controller = new AbortController();
      const dialling = failureOf(dial(bare, { isolate: "stream" }, PORT, controller.signal));
      setImmediate(() => controller.abort(reason));
      expect(await dialling).toBe(reason);
    });
  });

  describe("isolation", () => {
    /** The circuits of the client's open streams to the bare service. */
    async function circuits(): Promise<readonly string[]> {
      const status = await tor.clientInfo("stream-status");
      return [...status.matchAll(/\d+ SUCCEEDED (\d+) \S+\.onion/g)].map(
        ([, circuit = ""]) => circuit,
      );
    }

    async function circuitsOf(options: OnionOptions): Promise<readonly string[]> {
      const before = await circuits();
      const transport = onion({ proxy: tor.socks, ...options });
      const to = section("onion", bare, String(PORT));
      for (let i = 0; i < 2; i++) {
        opened.push(await transport.dial(to, { signal: new AbortController().signal }));
      }
      const after = [...(await circuits())];
      for (const circuit of before) after.splice(after.indexOf(circuit), 1);
      return after;
    }

    it("keeps hosts on one circuit, connections on their own, and transports apart", async () => {
      const [first, again, ...none] = await circuitsOf({});
      expect(none).toEqual([]);
      expect(first).toMatch(/^\d+$/);
      expect(again).toBe(first);
      const [another] = await circuitsOf({ isolate: "host" });
      expect(another).not.toBe(first);
      const each = await circuitsOf({ isolate: "stream" });
      expect(new Set([first, another, ...each]).size).toBe(4);
    });
  });
});
