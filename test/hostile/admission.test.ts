/**
 * The first frames under fire: welcome, confirm, and whatever comes in their place, against a whole network on
 * either side, with and without proved keys. How to ask for more inputs: fuzz.ts.
 */

import {
  concat,
  deferred,
  type ErrorCode,
  type Identity,
  Network,
  NetworkError,
  section,
} from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { noauth } from "@testudo/transports/noauth";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeGoodbye } from "../../packages/core/src/goodbye.ts";
import { isCoreOpcode, OPCODES } from "../../packages/core/src/opcode.ts";
import { sortedIdentities } from "../support/identities.ts";
import { vouch } from "../support/vouch.ts";
import { Adversary, CONFIRM, frame, WELCOME } from "./adversary.ts";
import { fuzz, must, mustBe, mutate, PATIENCE_MS, type Random, RUNS, turn } from "./fuzz.ts";

const [smaller, own, larger] = sortedIdentities(3) as [Identity, Identity, Identity];
const hub = new MemoryHub();
const transport = memory({ hub });
const SHARE = Math.ceil(RUNS / 4);

/** The network under attack, and how often its edges were seen. */
const edges = { added: 0, deleted: 0, messages: 0 };
let network: Network;

beforeAll(async () => {
  network = new Network({
    identity: own,
    stacks: [
      [transport, vouch()],
      [transport, noauth()],
    ],
  });
  await network.registerPlugin({
    nodeAdded: () => void edges.added++,
    newMessage: () => void edges.messages++,
    nodeDeleted: () => void edges.deleted++,
  });
  await network.listen("memory:victim-vouch~vouch");
  await network.listen("memory:victim-noauth~noauth");
});

afterAll(async () => {
  await network.close();
});

/** Up to four frames, the first of them mostly what is waited for, or nearly. */
function opening(random: Random, wanted: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let left = 1 + random.below(4); left > 0; left--) {
    const first = frames.length === 0;
    switch (random.below(first ? 6 : 10)) {
      case 0:
        frames.push(
          frame(
            random.pick(OPENERS),
            random.bytes(random.length(5)),
            random.below(2),
            random.below(4),
          ),
        );
        break;
      case 1:
        frames.push(mutate(random, wanted));
        break;
      case 2:
        frames.push(
          frame(first ? OPCODES.confirm : OPCODES.welcome, Uint8Array.of(random.below(7))),
        );
        break;
      case 6:
        frames.push(frame(1_000, random.bytes(random.length(20)), random.u32()));
        break;
      case 7:
        frames.push(
          frame(
            OPCODES.disconnect,
            mutate(random, encodeGoodbye({ code: "PEER_REFUSED", text: "no" })),
          ),
        );
        break;
      case 9:
        frames.push(frame(OPCODES.stay, random.bytes(random.below(2)), random.below(2)));
        break;
      case 8:
        frames.push(
          frame(OPCODES.bytes, mutate(random, Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 97))),
        );
        break;
      default:
        frames.push(wanted);
    }
  }
  return frames;
}

const OPENERS = [0, 1, 14, 31, 32, 33, 34, 63, 64, 1_000, 0xffff_ffff];

/** What may end a stream whose other side says such things. */
const ENDS: readonly (ErrorCode | undefined)[] = [
  "FRAME_MALFORMED",
  "FRAME_TOO_LARGE",
  "CHECKSUM_MISMATCH",
  "BODY_MALFORMED",
  // It said goodbye itself, or left.
  undefined,
];

/** After the adversary is gone nothing of it is left, and every edge has its other edge. */
async function mustBeQuiet(addedBefore: number, admitted: boolean): Promise<void> {
  for (let turns = 0; network.peers.size > 0 && turns < 20; turns++) await turn();
  must(network.peers.size === 0, "still in the table");
  must(
    edges.added - addedBefore === (admitted ? 1 : 0),
    `added ${edges.added - addedBefore} times`,
  );
  must(edges.added === edges.deleted, "an edge without its other edge");
}

describe("a dialer that says", () => {
  for (const transform of [vouch(), noauth()]) {
    it(
      `anything at all over ${transform.name}: admitted if it confirms, else closed with a reason`,
      async () => {
        let admissions = 0;
        await fuzz(`first frames of a dialer over ${transform.name}`, {
          runs: SHARE,
          make: (random) => opening(random, CONFIRM),
          async check(frames, random) {
            const { added } = edges;
            const identity = random.pick([smaller, larger]);
            const adversary = await Adversary.dial(
              `memory:victim-${transform.name}~${transform.name}`,
              [transport, transform],
              { networkId: network.networkId, identity },
            );
            adversary.say(...frames);
            mustBe(await adversary.leave(), ENDS);
            const admitted = transform.name === "noauth" || starts(frames, CONFIRM, confirms);
            if (admitted) admissions++;
            await mustBeQuiet(added, admitted);
          },
        });
        if (admissions > 1) expect(admissions).toBeGreaterThan(SHARE / 4);
      },
      PATIENCE_MS,
    );
  }
});

/** A confirm of any kind. */
const confirms = [0, 1, 2, 4, 5].map((flag) => frame(OPCODES.confirm, Uint8Array.of(flag)));
const welcomes = [0, 1, 2, 3].map((standing) => frame(OPCODES.welcome, Uint8Array.of(standing)));

function starts(
  frames: readonly Uint8Array[],
  like: Uint8Array,
  valid: readonly Uint8Array[],
): boolean {
  const first = concat(...frames).subarray(0, like.length);
  return valid.some((each) => Buffer.compare(each, first) === 0);
}

describe("a listener that says", () => {
  for (const transform of [vouch(), noauth()]) {
    it(
      `anything at all over ${transform.name}: added if it welcomes, else an error that says why`,
      async () => {
        let additions = 0;
        let current: Promise<Adversary> | undefined;
        const frames: Uint8Array[] = [];
        const name = `evil-${transform.name}`;
        const listener = await transport.listen?.(
          { name: "memory", args: [name], text: `memory:${name}` },
          (connection) => {
            current = Adversary.accept(connection, [transport, transform], {
              networkId: network.networkId,
              identity: larger,
            }).then((adversary) => {
              adversary.say(...frames);
              return adversary;
            });
          },
        );
        await fuzz(`first frames of a listener over ${transform.name}`, {
          runs: SHARE,
          make: (random) => opening(random, WELCOME),
          async check(input) {
            frames.splice(0, frames.length, ...input);
            const { added } = edges;
            const adding = network.add(`memory:${name}~${transform.name}`).then(
              () => undefined,
              (error: unknown) => error,
            );
            for (let turns = 0; current === undefined; turns++) {
              must(turns < 20, "nobody dialled");
              await turn();
            }
            const adversary = await current;
            current = undefined;
            mustBe(await adversary.leave(), ENDS);
            const failure = await adding;
            if (failure !== undefined) {
              must(failure instanceof NetworkError, `threw ${String(failure)}`);
              // A goodbye may give any reason that a goodbye can give.
              const said = input.some((each) => each[4] === OPCODES.disconnect);
              if (!said) mustBe((failure as NetworkError).code, [...ENDS, "TRUNCATED"]);
            }
            const admitted = edges.added > added;
            if (transform.name === "vouch") {
              must(
                admitted === starts(input, WELCOME, welcomes),
                "added without a welcome, or not with one",
              );
            }
            must(admitted === (failure === undefined), "added, and yet failed");
            if (admitted) additions++;
            await mustBeQuiet(added, admitted);
          },
        });
        await listener?.close();
        if (additions > 1) expect(additions).toBeGreaterThan(SHARE / 4);
      },
      PATIENCE_MS,
    );
  }
});

it("a second welcome while the first waits for a decision is FRAME_MALFORMED", async () => {
  const parts = [transport, vouch()] as const;
  const options = { networkId: network.networkId, identity: smaller };
  // An arrival of the smaller key that was welcomed and not confirmed: a dial to the same node waits for it.
  const arrival = await Adversary.dial("memory:victim-vouch~vouch", parts, options);
  await arrival.hears(OPCODES.welcome);
  const accepted = deferred<Adversary>();
  const at = section("memory", "evil-twice");
  const listener = await transport.listen?.(at, (connection) => {
    void Adversary.accept(connection, parts, options).then(accepted.resolve);
  });
  const adding = expect(network.add("memory:evil-twice~vouch")).rejects.toMatchObject({
    code: "FRAME_MALFORMED",
  });
  const adversary = await accepted.promise;
  adversary.say(WELCOME, WELCOME);
  await adding;
  expect(await adversary.leave()).toBe("FRAME_MALFORMED");
  await arrival.leave();
  await listener?.close();
  expect(network.peers.size).toBe(0);
});

it("no opcode of core's own ever reached a plugin", () => {
  expect(OPENERS.filter(isCoreOpcode).length).toBeGreaterThan(0);
  expect(edges.messages).toBeGreaterThan(0);
});
