import { describe, expect, it } from "vitest";
import { section } from "../src/address.ts";
import { Admission, type Ticket } from "../src/admission.ts";
import type { Connection } from "../src/connection.ts";
import { type Limits, withDefaults } from "../src/limits.ts";

function from(host: string, port: number = 1, local: boolean = false): Connection {
  return { remote: section("net", host, String(port)), local } as Connection;
}

interface Door {
  readonly admission: Admission;
  /** Hosts and ports cut to make room. */
  readonly cut: string[];
  arrive(host: string, port?: number, local?: boolean): Ticket;
}

function door(limits: Partial<Limits>): Door {
  const admission = new Admission(withDefaults(limits));
  const cut: string[] = [];
  return {
    admission,
    cut,
    arrive: (host, port = 1, local = false) =>
      admission.arrive(from(host, port, local), (reason) => {
        expect(reason).toMatchObject({ code: "TOO_MANY_PEERS" });
        cut.push(`${host}:${port}`);
      }),
  };
}

const full = expect.objectContaining({ name: "HandshakeError", code: "TOO_MANY_PEERS" });

describe("places", () => {
  it("are counted before the handshake and given back once", () => {
    const { admission, arrive } = door({ maxPeers: 3 });
    const dialled = admission.dial();
    const arrived = arrive("a");
    expect([admission.places, admission.halfOpen]).toEqual([2, 1]);
    arrived.settle();
    arrived.settle();
    expect([admission.places, admission.halfOpen]).toEqual([2, 0]);
    arrived.leave();
    arrived.leave();
    dialled.leave();
    dialled.settle();
    dialled.leave();
    expect([admission.places, admission.halfOpen]).toEqual([0, 0]);
  });

  it("are refused to dials when there are none, whoever has them", () => {
    const { admission, arrive } = door({ maxPeers: 2 });
    admission.dial();
    const other = arrive("a");
    expect(() => admission.dial()).toThrow(full);
    other.leave();
    admission.dial().leave();
  });

  it("are refused to an arrival only when no handshake can make room", () => {
    const { admission, cut, arrive } = door({ maxPeers: 2 });
    const first = arrive("a", 1);
    arrive("a", 2);
    arrive("b", 3);
    expect(cut).toEqual(["a:1"]);
    // Cut, it gave its place back already.
    first.leave();
    expect([admission.places, admission.halfOpen]).toEqual([2, 2]);
    const settled = door({ maxPeers: 1 });
    settled.arrive("a").settle();
    expect(() => settled.arrive("b")).toThrow(full);
    expect(settled.admission.places).toBe(1);
  });
});

describe("one host", () => {
  it("holds so many places and no more; another is not concerned", () => {
    const { cut, arrive } = door({ maxPeersPerAddress: 2 });
    const tickets = [arrive("a", 1), arrive("a", 2)];
    for (const ticket of tickets) ticket.settle();
    expect(() => arrive("a", 3)).toThrow(full);
    expect(() => arrive("a", 3)).toThrow(/net:a/);
    arrive("b", 4);
    tickets[0]?.leave();
    arrive("a", 5);
    // The half-open one makes room for a newer of its own host, never for another's sake.
    arrive("a", 6);
    expect(cut).toEqual(["a:5"]);
  });

  it("is what stands before the port, with all colons of IPv6", () => {
    const admission = new Admission(withDefaults({ maxPeersPerAddress: 1 }));
    const v6 = (last: string, port: string): Connection =>
      ({ remote: section("net", "2001", "db8", "", last, port), local: false }) as Connection;
    admission.arrive(v6("1", "80"), () => {}).settle();
    admission.arrive(v6("2", "80"), () => {}).settle();
    expect(() => admission.arrive(v6("1", "81"), () => {})).toThrow(full);
  });

  it("may be a name without a port", () => {
    const { admission } = door({ maxPeersPerAddress: 1 });
    const named = (name: string): Connection =>
      ({ remote: section("memory", name), local: false }) as Connection;
    admission.arrive(named("a"), () => {}).settle();
    admission.arrive(named("b"), () => {}).settle();
    expect(() => admission.arrive(named("a"), () => {})).toThrow(full);
  });

  it("on this machine is exempt as a peer", () => {
    const { admission, arrive } = door({ maxPeersPerAddress: 1 });
    const tickets = [1, 2, 3, 4, 5].map((port) => arrive("127.0.0.1", port, true));
    for (const ticket of tickets) ticket.settle();
    expect(admission.places).toBe(5);
    for (const ticket of tickets) ticket.leave();
    expect(admission.places).toBe(0);
  });

  it("on this machine counts as one host of handshakes, whatever its address", () => {
    const { cut, arrive } = door({ maxHandshakesPerAddress: 2 });
    arrive("127.0.0.1", 1, true);
    arrive("127.0.0.2", 2, true);
    arrive("127.0.0.3", 3, true);
    arrive("8.8.8.8", 4);
    expect(cut).toEqual(["127.0.0.1:1"]);
  });
});

describe("a flood of handshakes", () => {
  it("from one host costs that host its oldest", () => {
    const { admission, cut, arrive } = door({ maxHandshakesPerAddress: 3 });
    for (let port = 1; port <= 10; port++) arrive("a", port);
    expect(cut).toEqual(["a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7"]);
    expect(admission.halfOpen).toBe(3);
  });

  it("from everywhere costs the busiest host its oldest, never an honest one in time", () => {
    const { admission, cut, arrive } = door({ maxHandshakes: 8 });
    const honest = arrive("honest", 1);
    for (let port = 1; port <= 1_000; port++) arrive("flood", port);
    expect(admission.halfOpen).toBe(8);
    expect(cut).not.toContain("honest:1");
    honest.settle();
    expect(admission.halfOpen).toBe(7);
    expect(cut).toHaveLength(993);
    honest.leave();
  });

  it("cannot push out who has finished", () => {
    const { cut, arrive } = door({ maxHandshakes: 1, maxPeers: 4 });
    const tickets = [1, 2, 3].map((port) => {
      const ticket = arrive("a", port);
      ticket.settle();
      return ticket;
    });
    arrive("b", 1);
    arrive("c", 1);
    expect(cut).toEqual(["b:1"]);
    for (const ticket of tickets) ticket.leave();
  });
});
