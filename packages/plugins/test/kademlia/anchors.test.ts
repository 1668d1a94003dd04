import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Acquaintance, chooseAnchors, LASTING_MS } from "../../src/kademlia/anchors.ts";
import type { Contact } from "../../src/kademlia/node-id.ts";
import { MAX_ANCHORS } from "../../src/kademlia/snapshot.ts";
import { contact } from "./contacts.ts";

const NOW = 1_000_000;
const first = (_bound: number): number => 0;

type Stream = NonNullable<Acquaintance<Contact>["stream"]>;

/** One that we dialled long ago and hold, but for what is said. */
function acquaintance(
  seed: number,
  stream: Partial<Stream> | undefined = {},
  subnet = `4:1.0.${seed}`,
): Acquaintance<Contact> {
  const whole: Stream = { since: 0, passing: true, side: "dialer", ...stream };
  return { contact: contact(seed, [subnet]), stream: whole };
}

function known(seed: number, subnet = `4:1.0.${seed}`): Acquaintance<Contact> {
  return { contact: contact(seed, [subnet]) };
}

function chosen(
  all: readonly Acquaintance<Contact>[],
  random: (bound: number) => number = first,
): string[] {
  return chooseAnchors(all, { now: NOW, random }).map(({ id }) => id);
}

describe("anchors", () => {
  it("are first those whom we dialled and kept", () => {
    const others = Array.from({ length: 20 }, (_, i) => known(100 + i));
    const came = Array.from({ length: 20 }, (_, i) => acquaintance(200 + i, { side: "listener" }));
    const ours = [acquaintance(1), acquaintance(2, { passing: false, since: NOW - 1 })];
    const anchors = chosen([...others, ...came, ...ours]);
    expect(anchors.slice(0, 2).toSorted()).toEqual(["p1", "p2"]);
    expect(anchors).toHaveLength(MAX_ANCHORS);
  });

  it("are not sooner those met in passing a moment ago", () => {
    const moment = acquaintance(1, { since: NOW - LASTING_MS + 1 });
    expect(chosen([moment, acquaintance(2)])[0]).toBe("p2");
    expect(chosen([acquaintance(1, { since: NOW - LASTING_MS }), known(2)])[0]).toBe("p1");
  });

  it("leave strangers that came as much as any other node that answered, by subnets", () => {
    const came = Array.from({ length: 500 }, (_, i) =>
      acquaintance(1_000 + i, { side: "listener", passing: false }, `4:9.9.${i % 2}`),
    );
    const others = Array.from({ length: 6 }, (_, i) => known(i));
    const anchors = chosen([...came, ...others]);
    expect(anchors).toEqual(expect.arrayContaining(others.map(({ contact: { id } }) => id)));
  });

  it("are of new subnets before there is a second one of a subnet", () => {
    const ours = [acquaintance(1, {}, "4:5.5.5"), acquaintance(2, {}, "4:6.6.6")];
    const same = Array.from({ length: 10 }, (_, i) => known(20 + i, "4:5.5.5"));
    const other = [known(50), known(51)];
    const anchors = chosen([...same, ...other, ...ours]);
    expect(anchors.slice(0, 4).toSorted()).toEqual(["p1", "p2", "p50", "p51"]);
    expect(anchors).toHaveLength(MAX_ANCHORS);
  });

  it("are different ones of those offered, as many as there can be", () => {
    const one = fc.record({
      subnet: fc.nat(6),
      stream: fc.option(
        fc.record({
          since: fc.nat(NOW),
          passing: fc.boolean(),
          side: fc.constantFrom("dialer" as const, "listener" as const),
        }),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(
        fc.array(one, { maxLength: 30 }),
        fc.infiniteStream(fc.nat(1_000)),
        (all, numbers) => {
          const random = (bound: number): number => (numbers.next().value as number) % bound;
          const offered = all.map(({ subnet, stream }, i) => ({
            contact: contact(i, [`4:0.0.${subnet}`]),
            stream,
          }));
          const anchors = chosen(offered, random);
          expect(anchors).toHaveLength(Math.min(MAX_ANCHORS, all.length));
          expect(new Set(anchors).size).toBe(anchors.length);
          const isKept = (id: string): boolean => {
            const stream = offered.find((each) => each.contact.id === id)?.stream;
            if (stream === undefined || stream.side === "listener") return false;
            return !stream.passing || NOW - stream.since >= LASTING_MS;
          };
          const kept = offered.filter((each) => isKept(each.contact.id)).length;
          const wanted = Math.min(kept, MAX_ANCHORS);
          expect(anchors.slice(0, wanted).every(isKept)).toBe(true);
        },
      ),
    );
  });
});
