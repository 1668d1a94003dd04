/**
 * Whole handshakes with somebody on the lines who holds, drops, doubles, reorders, reflects, cuts and swaps
 * what two honest pairs say, and who is a node with a key of its own besides. How to ask for more: fuzz.ts.
 */

import {
  type HandshakeOptions,
  type Identity,
  NetworkError,
  type Session,
  type Side,
  type Transform,
  toHex,
  Wire,
} from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { TestPipe } from "../support/pipes.ts";
import { ALICE, BOB, EVE, NETWORK } from "../support/shaking.ts";
import {
  fuzz,
  must,
  mustBe,
  mutate,
  PATIENCE_MS,
  type Random,
  RUNS,
  SESSIONS,
  turn,
} from "./fuzz.ts";
import { remembering } from "./sealed.ts";

/** Ephemeral pairs that come round again long after everything of their last session is forgotten. */
const PAIRS = 64;
const STEPS = 14;

interface Said {
  readonly by: Party;
  readonly bytes: Uint8Array;
}

/** One side of one handshake. */
interface Party {
  readonly name: string;
  readonly side: Side;
  readonly identity: Identity;
  /** Whom it means to talk to; a listener means nobody. */
  readonly expected: Identity | undefined;
  readonly pipe: TestPipe;
  /** What it said and nobody has delivered. */
  readonly pending: Said[];
  /** Whose words it gets as long as nobody meddles. */
  other: Party | undefined;
  session: Session | undefined;
  error: unknown;
  done: Promise<void>;
}

class Lines {
  readonly parties: Party[] = [];
  /** All that was ever said. */
  readonly said: Said[] = [];
  readonly #transform: Transform;

  constructor(transform: Transform) {
    this.#transform = transform;
  }

  pair(name: string, dialer: Identity, expected: Identity, listener: Identity): void {
    const near = this.#start(`${name}'s dialer`, "dialer", dialer, expected);
    const far = this.#start(`${name}'s listener`, "listener", listener, undefined);
    near.other = far;
    far.other = near;
  }

  #start(name: string, side: Side, identity: Identity, expected: Identity | undefined): Party {
    const pending: Said[] = [];
    const pipe = new TestPipe((bytes) => {
      const said = { by: party, bytes };
      pending.push(said);
      this.said.push(said);
      return [];
    });
    const party: Party = {
      name,
      side,
      identity,
      expected,
      pipe,
      pending,
      other: undefined,
      session: undefined,
      error: undefined,
      done: Promise.resolve(),
    };
    this.parties.push(party);
    party.done = this.#shake(party);
    return party;
  }

  async #shake(party: Party): Promise<void> {
    const { side, identity, expected, pipe } = party;
    const options: HandshakeOptions = {
      side,
      identity,
      chain: this.#transform.name,
      networkId: NETWORK,
      signal: new AbortController().signal,
      ...(expected === undefined ? {} : { section: this.#transform.section(expected) }),
    };
    try {
      party.session = await this.#transform.handshake(new Wire(pipe), options);
    } catch (error) {
      party.error = error;
    }
  }

  /** Everybody who still waits sees the end of the line. */
  async hangUp(): Promise<void> {
    for (const { pipe } of this.parties) pipe.disconnect();
    await Promise.all(this.parties.map((party) => party.done));
  }
}

/** One act of whoever holds the lines; mostly the honest one, so that handshakes get somewhere. */
function act(random: Random, lines: Lines): string {
  const to = random.pick(lines.parties);
  const any = random.pick(lines.said);
  const next = to.other?.pending[0];
  switch (random.below(14)) {
    case 0:
      to.pending.shift();
      return `drop what ${to.name} says`;
    case 1:
      if (next === undefined) return "nothing";
      to.pipe.receive(next.bytes);
      return `say twice to ${to.name}`;
    case 2:
      to.pipe.receive(any.bytes);
      return `tell ${to.name} what ${any.by.name} said`;
    case 3:
      to.pipe.receive(mutate(random, any.bytes));
      return `tell ${to.name} what ${any.by.name} nearly said`;
    case 4: {
      const own = lines.said.filter((said) => said.by === to);
      if (own.length === 0) return "nothing";
      to.pipe.receive(random.pick(own).bytes);
      return `reflect ${to.name}`;
    }
    case 5:
      to.pipe.receive(any.bytes.subarray(0, random.below(any.bytes.length)));
      return `tell ${to.name} a part of what ${any.by.name} said`;
    case 6: {
      const other = random.pick(lines.parties);
      [to.other, other.other] = [other.other, to.other];
      return `swap the lines of ${to.name} and ${other.name}`;
    }
    case 7:
      if (random.rarely(3)) to.pipe.disconnect();
      return `hang up on ${to.name}`;
    default: {
      for (const party of lines.parties) {
        const said = party.other?.pending.shift();
        if (said !== undefined) party.pipe.receive(said.bytes);
      }
      return "deliver";
    }
  }
}

/**
 * What may never happen, whatever was done on the lines: a session with somebody else than was meant or than
 * it says, or one whose keys no honest end or Eve's own has.
 */
function check(lines: Lines): number {
  let sessions = 0;
  const label = "testudo";
  for (const party of lines.parties) {
    const { session, error, name, expected } = party;
    if (session === undefined) {
      must(error instanceof NetworkError, `${name} failed with ${String(error)}`);
      mustBe((error as NetworkError).code, ["HANDSHAKE_FAILED", "PEER_UNEXPECTED", "TRUNCATED"]);
      continue;
    }
    sessions++;
    const key = toHex(session.remoteKey ?? new Uint8Array(0));
    if (expected !== undefined) mustBe(key, [toHex(expected.publicKey)]);
    const secret = toHex(session.exportKey?.(label) ?? new Uint8Array(0));
    // The end that finishes first may never hear whether the other one did; nobody else has its keys.
    const partners = lines.parties.filter(
      (other) =>
        other.session !== undefined &&
        other !== party &&
        toHex(other.session.exportKey?.(label) ?? NETWORK) === secret,
    );
    must(partners.length <= 1, `${name} shares its keys with ${partners.length} others`);
    for (const partner of partners) {
      must(partner.side !== party.side, `${name} and ${partner.name} have one side`);
      mustBe(key, [toHex(partner.identity.publicKey)]);
    }
    if (last(party)) must(partners.length === 1, `${name} has a session with nobody`);
  }
  return sessions;

  /** The side that sends the last message is done before the other: only the other's session proves both. */
  function last(party: Party): boolean {
    return party.side === finishesLast;
  }
}

let finishesLast: Side = "listener";

const transforms: readonly [string, () => Transform, Side, number][] = [
  ["noise", () => noise({ keyPair: nextPair }), "listener", SESSIONS],
  ["shs", () => shs(), "dialer", Math.max(1, Math.round(RUNS / 50))],
];

const pairs = Array.from({ length: PAIRS }, (_, index) => remembering(index + 1, 4 * PAIRS));
let used = 0;

function nextPair(): ReturnType<typeof remembering> {
  return pairs[used++ % PAIRS] as ReturnType<typeof remembering>;
}

describe.each(transforms)("%s, whatever is done to its messages", (name, make, side, runs) => {
  it(
    "never makes a session with a wrong key, and fails in one way",
    async () => {
      let sessions = 0;
      let failures = 0;
      finishesLast = side;
      const transform = make();
      await fuzz(`${name} handshakes`, {
        runs,
        make: (): string[] => [],
        async check(acts, random) {
          const lines = new Lines(transform);
          lines.pair("first", ALICE, BOB, BOB);
          // The second pair is another honest one, or Eve's: a stranger with a key of her own, or dialled by one.
          const [dialer, expected, listener] = random.pick([
            [ALICE, BOB, BOB],
            [BOB, ALICE, ALICE],
            [EVE, BOB, BOB],
            [ALICE, EVE, EVE],
            [ALICE, BOB, EVE],
          ]);
          lines.pair("second", dialer as Identity, expected as Identity, listener as Identity);
          for (let step = 0; step < STEPS; step++) {
            await turn();
            acts.push(act(random, lines));
          }
          await turn();
          await lines.hangUp();
          const made = check(lines);
          sessions += made;
          failures += lines.parties.length - made;
        },
      });
      if (sessions + failures <= 4) return;
      expect(sessions).toBeGreaterThan(runs / 10);
      expect(failures).toBeGreaterThan(runs / 10);
    },
    PATIENCE_MS,
  );
});
