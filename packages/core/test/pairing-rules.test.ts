/** The rules of pairing, one by one: what the machine says to each order of calls. */

import { describe, expect, it } from "vitest";
import { compare } from "../src/bytes.ts";
import { Identity, PeerId } from "../src/identity.ts";
import { Pairing, type PairingActions, STANDING, type Standing } from "../src/pairing.ts";
import { LARGE, SMALL } from "./support/pair-model.ts";

describe("the machine by itself", () => {
  interface Said {
    readonly log: string[];
    readonly actions: PairingActions<string>;
  }

  function recorder(): Said {
    const log: string[] = [];
    return {
      log,
      actions: {
        welcome: (candidate, standing) => log.push(`welcome ${candidate} ${standing}`),
        confirm: (candidate, previous, standing) =>
          log.push(
            previous === undefined
              ? `confirm ${candidate}`
              : `confirm ${candidate} after ${previous}, ${standing}`,
          ),
        move: (into, live) => log.push(`move ${live} to ${into}`),
        decline: (candidate) => log.push(`decline ${candidate}`),
        admit: (candidate, previous) => log.push(`admit ${candidate} after ${previous}`),
      },
    };
  }

  it("welcomes an arrival that has waited long enough for a dial under way", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const dial = pairing.dialling(LARGE.text);
    dial.connected = true;
    expect(pairing.arrived(LARGE, "arrival")).toBe(true);
    expect(log).toEqual([]);
    pairing.outwaited(LARGE, "arrival");
    pairing.outwaited(LARGE, "arrival");
    expect(log).toEqual([`welcome arrival ${STANDING.none}`]);
  });

  it("lets an arrival wait for a dial under way only at the smaller key", () => {
    for (const [own, other] of [
      [SMALL, LARGE],
      [LARGE, SMALL],
    ] as const) {
      const { log, actions } = recorder();
      const pairing = new Pairing(own, actions);
      const dial = pairing.dialling(other.text);
      dial.connected = true;
      pairing.arrived(other, "arrival");
      const first = [...log];
      pairing.settled(dial);
      expect(log).toEqual(["welcome arrival 0"]);
      expect(first).toEqual(own === SMALL ? [] : ["welcome arrival 0"]);
    }
  });

  /** A machine with one live stream, which it dialled. */
  function withLive(own: PeerId, other: PeerId): Said & { pairing: Pairing<string> } {
    const { log, actions } = recorder();
    const pairing = new Pairing(own, actions);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, other, "first");
    pairing.welcomed(dial, other, STANDING.none);
    pairing.settled(dial);
    log.length = 0;
    return { log, actions, pairing };
  }

  function decided(
    pairing: Pairing<string>,
    other: PeerId,
    standing: Standing,
    moves: boolean,
  ): void {
    const dial = pairing.dialling(undefined, moves);
    pairing.shaken(dial, other, "second");
    pairing.welcomed(dial, other, standing);
    pairing.settled(dial);
  }

  it("moves only a dial that asked for it, to a listener that has the stream too", () => {
    for (const [standing, moves, expected] of [
      [STANDING.live, true, "move first to second"],
      [STANDING.live, false, "decline second"],
      [STANDING.candidate, true, "decline second"],
      [STANDING.none, true, "confirm second after first, 0"],
      [STANDING.leaving, true, "confirm second after first, 3"],
    ] as const) {
      const { log, pairing } = withLive(SMALL, LARGE);
      decided(pairing, LARGE, standing, moves);
      expect(log).toEqual([expected]);
      expect(pairing.underWay).toBe(0);
    }
  });

  it("moves nothing that became live after the dial began", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const early = pairing.dialling(undefined, true);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, LARGE, "first");
    pairing.welcomed(dial, LARGE, STANDING.none);
    pairing.shaken(early, LARGE, "second");
    pairing.welcomed(early, LARGE, STANDING.live);
    expect(log).toEqual(["confirm first", "decline second"]);
  });

  it("moves one at a time: while it does, it moves nothing else and turns other movers down", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    decided(pairing, LARGE, STANDING.live, true);
    decided(pairing, LARGE, STANDING.live, true);
    pairing.arrived(LARGE, "arrival");
    expect(log).toEqual(["move first to second", "decline second", "welcome arrival 1"]);
    pairing.gone(LARGE, "arrival");
    pairing.moved(LARGE);
    log.length = 0;
    pairing.arrived(LARGE, "arrival");
    pairing.gone(LARGE, "arrival");
    decided(pairing, LARGE, STANDING.live, true);
    expect(log).toEqual(["welcome arrival 2", "move first to second"]);
  });

  it("keeps the peer that moved as the live one, and forgets the move with it", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    decided(pairing, LARGE, STANDING.live, true);
    pairing.gone(LARGE, "second");
    pairing.arrived(LARGE, "arrival");
    pairing.gone(LARGE, "arrival");
    pairing.gone(LARGE, "first");
    pairing.arrived(LARGE, "another");
    expect(log).toEqual(["move first to second", "welcome arrival 1", "welcome another 0"]);
  });

  it("goes by the smaller key when both sides move at once", () => {
    for (const [own, other, expected] of [
      [SMALL, LARGE, "move first to second"],
      [LARGE, SMALL, "decline second"],
    ] as const) {
      const { log, pairing } = withLive(own, other);
      pairing.arrived(other, "arrival");
      decided(pairing, other, STANDING.live, true);
      expect(log).toEqual(["welcome arrival 2", expected]);
    }
  });

  it("declines a second mover that was welcomed before the first one moved", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    pairing.arrived(LARGE, "one");
    pairing.arrived(LARGE, "two");
    pairing.confirmed(LARGE, "one", true);
    pairing.confirmed(LARGE, "two", true);
    expect(log.slice(2)).toEqual(["move first to one", "decline two"]);
    expect(pairing.underWay).toBe(0);
  });

  it("as a listener moves what it has, and admits a mover when it has nothing", () => {
    const { log, pairing } = withLive(SMALL, LARGE);
    pairing.arrived(LARGE, "arrival");
    pairing.confirmed(LARGE, "arrival", true);
    pairing.gone(LARGE, "first");
    pairing.arrived(LARGE, "later");
    pairing.confirmed(LARGE, "later", true);
    expect(log).toEqual([
      "welcome arrival 2",
      "move first to arrival",
      "welcome later 0",
      "admit later after undefined",
    ]);
  });

  it("lets no arrival wait for a dial that has not connected, or that named nobody", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    pairing.dialling(LARGE.text);
    pairing.dialling(undefined).connected = true;
    pairing.arrived(LARGE, "arrival");
    expect(log).toEqual(["welcome arrival 0"]);
  });

  it("tells an arrival what it already has with that node", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(LARGE, actions);
    pairing.arrived(SMALL, "a");
    pairing.arrived(SMALL, "b");
    pairing.confirmed(SMALL, "a");
    pairing.arrived(SMALL, "c");
    expect(log).toEqual([
      `welcome a ${STANDING.none}`,
      `welcome b ${STANDING.candidate}`,
      "admit a after undefined",
      `welcome c ${STANDING.live}`,
    ]);
  });

  it("follows a stream that is over on the other side, in the dialer's and in the listener's role", () => {
    for (const standing of [STANDING.none, STANDING.leaving]) {
      const { log, actions } = recorder();
      const pairing = new Pairing(SMALL, actions);
      pairing.arrived(LARGE, "old");
      pairing.confirmed(LARGE, "old");
      const dial = pairing.dialling(LARGE.text);
      pairing.shaken(dial, LARGE, "new");
      pairing.welcomed(dial, LARGE, standing);
      pairing.settled(dial);
      pairing.arrived(LARGE, "newest");
      pairing.confirmed(LARGE, "newest");
      expect(log.slice(2)).toEqual([
        `confirm new after old, ${standing}`,
        `welcome newest ${STANDING.live}`,
        "admit newest after new",
      ]);
    }
  });

  it("declines its own dial when the stream it has is younger, or alive over there", () => {
    for (const standing of [STANDING.candidate, STANDING.live]) {
      const { log, actions } = recorder();
      const pairing = new Pairing(SMALL, actions);
      pairing.arrived(LARGE, "live");
      pairing.confirmed(LARGE, "live");
      const dial = pairing.dialling(undefined);
      pairing.shaken(dial, LARGE, "second");
      pairing.welcomed(dial, LARGE, standing);
      expect(log.at(-1)).toBe("decline second");
    }
    const { log, actions } = recorder();
    const pairing = new Pairing(LARGE, actions);
    const dial = pairing.dialling(undefined);
    pairing.shaken(dial, SMALL, "second");
    pairing.arrived(SMALL, "live");
    pairing.confirmed(SMALL, "live");
    pairing.welcomed(dial, SMALL, STANDING.none);
    expect(log.at(-1)).toBe("decline second");
  });

  it("lets a dial wait for an open arrival only at the larger key", () => {
    for (const [own, other] of [
      [SMALL, LARGE],
      [LARGE, SMALL],
    ] as const) {
      const { log, actions } = recorder();
      const pairing = new Pairing(own, actions);
      pairing.arrived(other, "arrival");
      const dial = pairing.dialling(undefined);
      pairing.shaken(dial, other, "dial");
      pairing.welcomed(dial, other, STANDING.candidate);
      expect(log.slice(1)).toEqual(own === SMALL ? ["confirm dial"] : []);
      pairing.gone(other, "arrival");
      expect(log.slice(1)).toEqual(["confirm dial"]);
    }
  });

  it("forgets a dial that reached another node than it was meant for", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    const third = PeerId.from(new Uint8Array(32).fill(3));
    const dial = pairing.dialling(LARGE.text);
    pairing.shaken(dial, third, "dial");
    pairing.arrived(LARGE, "arrival");
    pairing.settled(dial);
    pairing.settled(dial);
    pairing.gone(LARGE, "arrival");
    pairing.gone(third, "dial");
    expect(log).toEqual(["welcome arrival 0"]);
    expect(pairing.underWay).toBe(0);
  });

  it("ignores a welcome for a dial whose handshake it never saw", () => {
    const { log, actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    pairing.welcomed(pairing.dialling(LARGE.text), LARGE, STANDING.none);
    pairing.settled(pairing.dialling(undefined));
    expect(log).toEqual([]);
  });

  it("holds nothing of nodes that left, however many there were", () => {
    const { actions } = recorder();
    const pairing = new Pairing(SMALL, actions);
    for (let i = 0; i < 200; i++) {
      const { id } = Identity.generate();
      if (compare(id.bytes, SMALL.bytes) === 0) continue;
      const dial = pairing.dialling(i % 2 === 0 ? id.text : undefined);
      pairing.shaken(dial, id, `dial ${i}`);
      pairing.welcomed(dial, id, STANDING.none);
      pairing.settled(dial);
      pairing.gone(id, `dial ${i}`);
    }
    expect(pairing.underWay).toBe(0);
  });
});
