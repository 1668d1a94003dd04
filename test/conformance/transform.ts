/**
 * Conformance of transforms: what every handshake must refuse, and what every session must keep.
 *
 *     transformConformance("noise", () => noise());
 *
 * A transform that proves nothing (`authenticates` false) is held only to what it can do: carry bytes
 * unharmed. Everything runs over a line in this process with somebody in the middle; no clock is read.
 */

import {
  AddressError,
  concat,
  EMPTY,
  NetworkError,
  networkError,
  type Session,
  type Side,
  section,
  sectionKey,
  type Transform,
  Wire,
} from "@testudo/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteByByte, cutAfter, flipBit, TestPipe } from "../support/pipes.ts";
import {
  ALICE,
  alone,
  BOB,
  type End,
  EVE,
  NETWORK,
  openAll,
  optionsFor,
  REFUSALS,
  run,
  type Shaken,
  sessionOf,
  settle,
  shake,
} from "../support/shaking.ts";
import { pattern } from "../support/traffic.ts";
import { expectToCarry, type SessionTraits, sessionConformance } from "./transform-session.ts";

export interface TransformTraits extends SessionTraits {
  /** The dialer must know the listener's key beforehand. Default false. */
  readonly needsKey?: boolean;
  /** The handshake fails when the two ends mean different chains of transforms. Default true. */
  readonly bindsChain?: boolean;
}

const SLOW_MS = 60_000;

export function transformConformance(
  name: string,
  make: () => Transform,
  traits: TransformTraits = {},
): void {
  const { authenticates } = make();
  const { needsKey = false, bindsChain = true } = traits;
  const toBob = { section: make().section(BOB) };

  describe(`${name} as a transform`, () => {
    describe("the handshake", () => {
      it("makes sections of its own name", () => {
        const own = make().section(ALICE);
        expect(own.name).toBe(make().name);
        expect(own.text.startsWith(make().name)).toBe(true);
        const key = authenticates ? sectionKey(own) : undefined;
        expect(key).toEqual(authenticates ? ALICE.publicKey : undefined);
      });

      it("lets both sides agree on who they are", async () => {
        const { dialer, listener } = await shake(make, { dialer: toBob });
        expect(sessionOf(dialer).remoteKey).toEqual(authenticates ? BOB.publicKey : undefined);
        expect(sessionOf(listener).remoteKey).toEqual(authenticates ? ALICE.publicKey : undefined);
        expect(dialer.rest.length + listener.rest.length).toBe(0);
      });

      it("works however the bytes are cut", async () => {
        const shaken = await shake(make, {
          dialer: toBob,
          meddleDialer: byteByByte,
          meddleListener: byteByByte,
        });
        expectToTalk(sessionOf(shaken.dialer), sessionOf(shaken.listener));
      });

      it("leaves what came right behind it to the session", async () => {
        const early = pattern(500);
        const written: Side[] = [];
        const shaken = await shake(make, {
          dialer: toBob,
          merge: true,
          onSession(side, session, pipe) {
            written.push(side);
            pipe.write(...session.seal([early]));
          },
        });
        expect(written.sort()).toEqual(["dialer", "listener"]);
        for (const end of [shaken.dialer, shaken.listener]) {
          const opened = openAll(sessionOf(end), [end.rest]);
          const chunks = end.pipe[Symbol.asyncIterator]();
          while (concat(...opened).length < early.length) {
            const { value } = await chunks.next();
            opened.push(...sessionOf(end).open(value));
          }
          expect(concat(...opened)).toEqual(early);
        }
      });

      it("rejects with the reason the connection was aborted with", async () => {
        const reason = networkError("HANDSHAKE_TIMEOUT", "took too long");
        for (const side of ["dialer", "listener"] as const) {
          const pipe = new TestPipe();
          TestPipe.join(pipe, new TestPipe());
          const shaking = make().handshake(new Wire(pipe), optionsFor(side, toBob));
          pipe.abort(reason);
          if (authenticates) await expect(shaking).rejects.toBe(reason);
          else await shaking;
        }
      });

      it("refuses a section that is not its own kind", async () => {
        const bad = section(make().name, "not-a-key");
        const pipe = new TestPipe();
        const shaking = make().handshake(new Wire(pipe), optionsFor("dialer", { section: bad }));
        await expect(shaking).rejects.toBeInstanceOf(AddressError);
        expect(pipe.sentBytes).toBe(0);
      });

      it("checks sections beforehand as it does when it dials", () => {
        const transform = make();
        const check = (side: Side, ...args: string[]): void =>
          transform.check?.(section(transform.name, ...args), side);
        const { args: own } = transform.section(BOB);
        expect(transform.check).toBeTypeOf("function");
        for (const side of ["dialer", "listener"] as const) {
          check(side, ...own);
          for (const args of [[""], ["not-a-key"], [...own, ""]]) {
            expect(() => check(side, ...args), args.join(":")).toThrow(AddressError);
          }
        }
        check("listener");
        if (needsKey) expect(() => check("dialer")).toThrow(AddressError);
        else check("dialer");
      });
    });

    describe.runIf(authenticates)("a handshake that must fail", () => {
      it(needsKey ? "needs the key to dial" : "can be dialled without a key", async () => {
        const shaken = await shake(make, { dialer: { section: section(make().name) } });
        if (needsKey) {
          expect(shaken.dialer.error).toBeInstanceOf(AddressError);
          expect(shaken.listener.session).toBeUndefined();
        } else {
          expect(sessionOf(shaken.dialer).remoteKey).toEqual(BOB.publicKey);
        }
      });

      it("refuses another key than the one dialled", async () => {
        const shaken = await shake(make, { dialer: { section: make().section(EVE) } });
        expectNobody(shaken);
        expect(codesOf(shaken)).toContainEqual(
          expect.stringMatching(/^(PEER_UNEXPECTED|HANDSHAKE_FAILED)$/),
        );
      });

      it("refuses another network", async () => {
        const networkId = NETWORK.slice();
        networkId[31] = 8;
        expectNobody(await shake(make, { dialer: { ...toBob, networkId } }));
        expectNobody(await shake(make, { dialer: toBob, listener: { networkId } }));
      });

      it.runIf(bindsChain)("refuses another chain of transforms", async () => {
        expectNobody(await shake(make, { dialer: { ...toBob, chain: "something~else" } }));
      });

      it(
        "notices every flipped bit",
        async () => {
          const { dialer, listener } = await shake(make, { dialer: toBob });
          for (let at = 0; at < dialer.pipe.sentBytes; at++) {
            for (const bit of [at % 7, 7]) {
              const meddleDialer = flipBit(at, bit);
              expectNotBoth(
                await shake(make, { dialer: toBob, meddleDialer }),
                `dialer ${at}.${bit}`,
              );
            }
          }
          for (let at = 0; at < listener.pipe.sentBytes; at++) {
            for (const bit of [at % 7, 7]) {
              const meddleListener = flipBit(at, bit);
              expectNotBoth(
                await shake(make, { dialer: toBob, meddleListener }),
                `listener ${at}.${bit}`,
              );
            }
          }
        },
        SLOW_MS,
      );

      it(
        "fails when it is cut anywhere",
        async () => {
          const { dialer, listener } = await shake(make, { dialer: toBob });
          for (let at = 0; at < dialer.pipe.sentBytes; at++) {
            const shaken = await shake(make, { dialer: toBob, meddleDialer: cutAfter(at) });
            expect(shaken.listener.session, `dialer cut after ${at}`).toBeUndefined();
            expectRefusals(shaken);
          }
          for (let at = 0; at < listener.pipe.sentBytes; at++) {
            const shaken = await shake(make, { dialer: toBob, meddleListener: cutAfter(at) });
            expect(shaken.dialer.session, `listener cut after ${at}`).toBeUndefined();
            expectRefusals(shaken);
          }
        },
        SLOW_MS,
      );

      it("gives nothing to a replay of either side", async () => {
        const heard = await shake(make, { dialer: toBob });
        for (const side of ["listener", "dialer"] as const) {
          const recorded = heard[side === "listener" ? "dialer" : "listener"].pipe.sent;
          const end = await alone(make, side, recorded);
          expect(end.session, `replayed to the ${side}`).toBeUndefined();
          expect(codeOf(end.error)).toBeOneOf([...REFUSALS]);
        }
      });

      it("does not talk to its own echo", async () => {
        const pipe = new TestPipe((bytes) => [bytes]);
        TestPipe.join(pipe, pipe);
        const end: End = { pipe, rest: EMPTY };
        await settle([run(make, "dialer", end, { section: make().section(ALICE) })], [pipe]);
        expect(end.session).toBeUndefined();
        expect(codeOf(end.error)).toBeOneOf([...REFUSALS]);
      });

      it("survives garbage", async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.constantFrom<Side>("dialer", "listener"),
            fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
            async (side, garbage) => {
              const end = await alone(make, side, garbage);
              expect(end.session).toBeUndefined();
              expect(codeOf(end.error)).toBeOneOf([...REFUSALS]);
            },
          ),
          { numRuns: 100 },
        );
      });
    });

    sessionConformance(make, traits);
  });
}

function expectToTalk(dialer: Session, listener: Session): void {
  expectToCarry(dialer, listener, [pattern(1_000, 1)]);
  expectToCarry(listener, dialer, [pattern(1_000, 2)]);
}

function codeOf(error: unknown): string {
  expect(error).toBeInstanceOf(NetworkError);
  return (error as NetworkError).code;
}

function codesOf(shaken: Shaken): string[] {
  return [shaken.dialer, shaken.listener]
    .filter((end) => end.session === undefined)
    .map((end) => codeOf(end.error));
}

function expectRefusals(shaken: Shaken): void {
  for (const code of codesOf(shaken)) expect(code).toBeOneOf([...REFUSALS]);
}

function expectNobody(shaken: Shaken): void {
  expect([shaken.dialer.session, shaken.listener.session]).toEqual([undefined, undefined]);
  expectRefusals(shaken);
}

/** The side that spoke last cannot know that its words were changed; but never do both believe. */
function expectNotBoth(shaken: Shaken, what: string): void {
  const believers = [shaken.dialer, shaken.listener].filter((end) => end.session !== undefined);
  expect(believers.length, what).toBeLessThan(2);
  expectRefusals(shaken);
}
