/**
 * What was once said, said again; and what is being said, said back. Whole recorded sessions against the same
 * listener, a new one of the same key and the dialer; echoes and crossed wires on either side; and nodes of
 * another key or network. Nobody is admitted, nothing is heard.
 */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { EMPTY, Identity, Network, NetworkError } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { pieces, Random } from "./fuzz.ts";
import { Line } from "./line.ts";
import { Stranger } from "./stranger.ts";
import { Answer, Ask, Victim } from "./victim.ts";

const REPLAYS = 300;
const TRIES = 30;

/** A listener of this test's own, and what it does with each socket. */
class Impostor {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(greet: (socket: Socket) => void): Promise<Impostor> {
    const server = createServer({ noDelay: true });
    const impostor = new Impostor(server);
    server.on("connection", (socket) => {
      impostor.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => impostor.#sockets.delete(socket));
      greet(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return impostor;
  }

  /** The victim's address, but here. */
  inPlaceOf(address: string): string {
    return address.replace(/:\d+~/, `:${(this.#server.address() as AddressInfo).port}~`);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe.each([
  ["noise", noise],
  ["shs", shs],
] as const)("over net~%s", (name, make) => {
  expectNoLeaks();
  let victim: Victim;
  let caller: Network;
  const firstBytes = name === "noise" ? 34 : 64;
  let recorded: { up: Uint8Array; down: Uint8Array };

  beforeAll(async () => {
    victim = await Victim.start(make, { handshakeTimeoutMs: 400 });
    caller = new Network({
      stacks: [[net(), victim.transform]],
      limits: { handshakeTimeoutMs: 1_000, closeTimeoutMs: 300 },
    });
    const line = await Line.open(victim.port);
    const peer = await caller.add(line.through(victim.address));
    for (let i = 0; i < 10; i++) await peer.request(Ask.of(`recorded ${i}`), Answer);
    await caller.delete(peer);
    await line.idle();
    recorded = line.said;
    await line.close();
    await victim.departureOf(1);
    expect(victim.heard.length).toBe(10);
  });

  afterAll(async () => {
    expect(caller.peers.size).toBe(0);
    await caller.close();
    await victim.mustServe();
    await victim.close();
  });

  /** Nobody came in but those whom `mustServe` sends, and nothing was heard. */
  async function mustIgnore(target: Victim, attack: () => Promise<void>): Promise<void> {
    const [added, heard] = [target.added.length, target.heard.length];
    await attack();
    expect(target.added.length).toBe(added);
    expect(target.heard.length).toBe(heard);
    await target.mustServe();
  }

  async function mustFail(address: string, codes: RegExp): Promise<void> {
    const failure: unknown = await caller.add(address).then(
      () => "added",
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(NetworkError);
    expect((failure as NetworkError).code).toMatch(codes);
  }

  async function replay(target: Victim, times: number): Promise<void> {
    const random = new Random(31);
    for (let i = 0; i < times; i++) {
      const stranger = await Stranger.connect(target.port);
      for (const piece of i % 10 === 0 ? pieces(random, recorded.up) : [recorded.up])
        stranger.say(piece);
      await stranger.leaveWith(EMPTY);
    }
  }

  it("a dialer's recording gets nobody in, at the same listener", async () => {
    await mustIgnore(victim, () => replay(victim, REPLAYS));
  });

  it("nor at another one of the same key", async () => {
    const identity = Identity.fromSecret(victim.network.identity.secret());
    const again = await Victim.start(make, {}, identity);
    expect(again.network.id.text).toBe(victim.network.id.text);
    await mustIgnore(again, () => replay(again, TRIES));
    await again.close();
  });

  it("a listener's recording fools no dialer", async () => {
    const impostor = await Impostor.open((socket) => {
      socket.resume();
      socket.write(recorded.down);
    });
    for (let i = 0; i < TRIES; i++) {
      await mustFail(impostor.inPlaceOf(victim.address), /^(HANDSHAKE_FAILED|TRUNCATED)$/);
    }
    await impostor.close();
  });

  it("an echo is nobody, to a dialer", async () => {
    const impostor = await Impostor.open((socket) => socket.pipe(socket));
    const own = caller.id.text;
    for (let i = 0; i < TRIES; i++) {
      await mustFail(impostor.inPlaceOf(victim.address), /^HANDSHAKE_FAILED$/);
      // Dialled under its own key it is refused before a socket is opened.
      await mustFail(
        impostor.inPlaceOf(victim.address).replace(victim.network.id.text, own),
        /^SELF_DIAL$/,
      );
    }
    await impostor.close();
  });

  it("an echo is nobody, to a listener", async () => {
    await mustIgnore(victim, async () => {
      // One that waits for a longer message than the echo of its own gives up at its deadline.
      const echo = async (): Promise<void> => {
        const stranger = await Stranger.connect(victim.port);
        stranger.socket.pipe(stranger.socket);
        stranger.say(recorded.up.subarray(0, firstBytes));
        await stranger.closed;
      };
      await Promise.all(Array.from({ length: TRIES }, echo));
    });
  });

  it("two dialers with crossed wires do not take each other for a listener", async () => {
    const waiting: Socket[] = [];
    const impostor = await Impostor.open((socket) => {
      const other = waiting.pop();
      if (other === undefined) waiting.push(socket);
      else socket.pipe(other).pipe(socket);
    });
    const second = new Network({
      stacks: [[net(), victim.transform]],
      limits: { handshakeTimeoutMs: 1_000 },
    });
    const address = impostor.inPlaceOf(victim.address);
    for (let i = 0; i < TRIES; i++) {
      await Promise.all([
        mustFail(address, /^(HANDSHAKE_FAILED|TRUNCATED)$/),
        expect(second.add(address)).rejects.toBeInstanceOf(NetworkError),
      ]);
    }
    await second.close();
    await impostor.close();
  });

  it("two calls to one listener with crossed wires get nobody in", async () => {
    await mustIgnore(victim, async () => {
      const cross = async (): Promise<void> => {
        const one = await Stranger.connect(victim.port);
        const other = await Stranger.connect(victim.port);
        one.socket.pipe(other.socket).pipe(one.socket);
        one.say(recorded.up.subarray(0, firstBytes));
        await Promise.all([one.closed, other.closed]);
      };
      await Promise.all(Array.from({ length: TRIES }, cross));
    });
  });

  it("a node of another key is not taken for the one dialled", async () => {
    const other = await Victim.start(make);
    const wrong = other.address.replace(other.network.id.text, victim.network.id.text);
    await mustIgnore(other, async () => {
      for (let i = 0; i < TRIES; i++) await mustFail(wrong, /^(PEER_UNEXPECTED|HANDSHAKE_FAILED)$/);
    });
    await other.close();
  });

  it("a node of another network gets nowhere, and says nothing", async () => {
    const foreigner = new Network({ stacks: [[net(), victim.transform]], networkId: "elsewhere" });
    await mustIgnore(victim, async () => {
      for (let i = 0; i < TRIES; i++) {
        await expect(foreigner.add(victim.address)).rejects.toMatchObject({
          name: expect.stringMatching(/Error$/),
        });
      }
    });
    expect(foreigner.networkState().counters).toMatchObject({
      added: 0,
      messagesIn: 0,
      messagesOut: 0,
    });
    await foreigner.close();
  });
});
