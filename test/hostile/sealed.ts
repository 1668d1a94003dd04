/**
 * What the campaigns against handshakes and boxes share: key pairs that remember, and streams of boxes with
 * somebody on the way who drops, doubles, swaps and hurts them.
 */

import { concat, EMPTY, equal, type Session, toHex } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { codeOf, must, mustBe, mustEqual, mutate, pieces, type Random } from "./fuzz.ts";

/** The pair of a secret that is all one byte, or the one given; it works out the secret with a known other key once. */
export function remembering(from: number | KeyAgreement, most = 16): KeyAgreement {
  const pair =
    typeof from === "number" ? provider.keyAgreement(new Uint8Array(32).fill(from)) : from;
  const known = new Map<string, Uint8Array | undefined>();
  return {
    publicKey: pair.publicKey,
    agree(remote) {
      const name = toHex(remote);
      const secret = known.get(name) ?? pair.agree(remote);
      if (known.size < most) known.set(name, secret);
      return secret;
    },
  };
}

/** Points of low order: an agreement with them gives nothing, whoever agrees. */
export function lowPoint(random: Random): Uint8Array {
  const point = new Uint8Array(32);
  point[0] = random.below(2);
  point[31] = random.pick([0, 0x80]);
  return point;
}

/** What one end said, box by box, and what it means. The last box is the goodbye. */
export interface Said {
  readonly plain: readonly Uint8Array[];
  readonly boxes: readonly Uint8Array[];
}

/** A box of each size: none larger than what the session seals into one. */
export function say(sender: Session, sizes: readonly number[]): Said {
  const plain = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
  const boxes = plain.map((bytes) => concat(...sender.seal([bytes])));
  return { plain: [...plain, EMPTY], boxes: [...boxes, sender.end?.() ?? EMPTY] };
}

/** Boxes dropped, doubled, swapped, hurt, or nothing of that. */
export function meddle(random: Random, boxes: readonly Uint8Array[]): Uint8Array {
  const list = [...boxes];
  const at = random.below(list.length);
  const other = random.below(list.length);
  const [box, instead] = [list[at] as Uint8Array, list[other] as Uint8Array];
  switch (random.below(7)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(at, 0, instead);
      break;
    case 2:
      list[at] = instead;
      list[other] = box;
      break;
    case 3:
      list.splice(at);
      break;
    case 4:
      return mutate(random, concat(...list.slice(0, 3)));
    default:
      list[at] = mutate(random, box);
  }
  return concat(...list);
}

/**
 * Opens what was made of an honest stream: plaintext in order and whole boxes of it up to the first fault,
 * nothing behind it, and after `FRAME_MALFORMED` the same for ever. `behind` is the code for bytes that follow
 * the goodbye. Whether all of it came through.
 */
export function mustOpenHonestly(
  receiver: Session,
  said: Said,
  given: Uint8Array,
  random: Random,
  behind?: "FRAME_MALFORMED",
): boolean {
  const opened: Uint8Array[] = [];
  const code = codeOf(() => {
    for (const chunk of pieces(random, given)) opened.push(...receiver.open(chunk));
  });
  const { count, bytes } = honestPart(said.boxes, given);
  const whole = count === said.boxes.length;
  if (whole) mustBe(code, [given.length > bytes ? behind : undefined]);
  else mustBe(code, [undefined, "FRAME_MALFORMED"]);
  const released = concat(...opened);
  const promised = concat(...said.plain.slice(0, count));
  // A fault hides what the same chunk opened before it: less may come than was honest, never more.
  mustEqual(released, promised.subarray(0, released.length), "released");
  must(receiver.ended === whole, "the goodbye is seen if it was said, and only then");
  if (code === undefined) mustEqual(released, promised, "held back");
  else
    mustBe(
      codeOf(() => void receiver.open(Uint8Array.of(1))),
      ["FRAME_MALFORMED"],
    );
  return whole && code === undefined;
}

/** How many whole boxes of the honest stream stand at the start of what was given, and their bytes. */
function honestPart(
  boxes: readonly Uint8Array[],
  given: Uint8Array,
): { readonly count: number; readonly bytes: number } {
  let bytes = 0;
  for (const [count, box] of boxes.entries()) {
    if (!equal(given.subarray(bytes, bytes + box.length), box)) return { count, bytes };
    bytes += box.length;
  }
  return { count: boxes.length, bytes };
}
