/**
 * Listeners that are none, seen from our dialer: they say nothing, talk another protocol, hang up, echo, or
 * answer with keys that nobody can hold. Our dial ends within its deadline, says what is likely, leaves nothing.
 */

import { type Connection, Identity, MultiServer, type NetworkError, toUtf8 } from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { APP_KEY } from "./bastion.ts";
import { challengeOf, EPHEMERAL, LONG_TERM } from "./low-order.ts";
import { folder, Impostor, NET, WAYS, type Way } from "./ways.ts";

const { text: KEY } = Identity.generate().id;

function dialler(way: Way, limits: object = {}): MultiServer {
  return new MultiServer([[way.dialling(), shs({ appKey: APP_KEY })]], { limits });
}

async function failure(dialling: Promise<unknown>): Promise<NetworkError> {
  return dialling.then(
    () => {
      throw new Error("it came about");
    },
    (error: NetworkError) => error,
  );
}

/** What our dial comes to with a listener that does this. */
async function met(
  way: Way,
  play: (connection: Connection) => void,
  limits: object = {},
): Promise<NetworkError> {
  const connections: Connection[] = [];
  await using impostor = await Impostor.start(way, (connection) => {
    connections.push(connection);
    play(connection);
  });
  const node = dialler(way, limits);
  const error = await failure(node.client(`${impostor.section}~shs:${KEY}`));
  expect(error.address).toBe(`${impostor.section}~shs:${KEY}`);
  expect(error.attempts).toMatchObject([{ stage: "handshake" }]);
  expect(node.admission.places).toBe(0);
  // The impostor sees that we have gone.
  for (const connection of connections) {
    void drained(connection);
    await connection.closed;
  }
  return error;
}

async function drained(connection: Connection): Promise<void> {
  try {
    for await (const _ of connection);
    await connection.end();
  } catch {
    // That it is over is all there is to know.
  }
}

describe.each(WAYS.map((way) => [way.name, way] as const))("a listener by %s", (_name, way) => {
  expectNoLeaks();

  it("that says nothing is given up at the deadline", async () => {
    const error = await met(way, () => {}, { handshakeTimeoutMs: 200 });
    expect(error.code).toBe("HANDSHAKE_TIMEOUT");
    expect(error.message).toContain("did not finish the handshake in 200 ms; it may not speak shs");
  });

  it("that says a byte now and then is given up at the same deadline", async () => {
    const dripping: NodeJS.Timeout[] = [];
    const error = await met(
      way,
      (connection) => {
        dripping.push(setInterval(() => connection.write(Uint8Array.of(1)), 20));
      },
      { handshakeTimeoutMs: 300 },
    );
    for (const timer of dripping) clearInterval(timer);
    expect(error.code).toBe("HANDSHAKE_TIMEOUT");
  });

  it("that hangs up, at once or on our first message, does not speak shs", async () => {
    const hangUp = (connection: Connection): void => void connection.end();
    const hearAndHangUp = async (connection: Connection): Promise<void> => {
      await connection[Symbol.asyncIterator]().next();
      await connection.end();
    };
    for (const play of [hangUp, (connection: Connection) => void hearAndHangUp(connection)]) {
      const error = await met(way, play);
      expect(error.code).toBe("HANDSHAKE_FAILED");
      expect(error.message).toContain("does not speak shs");
    }
  });

  it("that talks plaintext is refused as soon as it has said enough", async () => {
    for (const line of [
      toUtf8("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nno"),
      new Uint8Array(200_000).fill(0xff),
    ]) {
      const error = await met(way, (connection) => void connection.write(line));
      expect(error.code).toBe("HANDSHAKE_FAILED");
      expect(error.message.length).toBeGreaterThan(20);
    }
  });

  it("that echoes is found out", async () => {
    const echo = async (connection: Connection): Promise<void> => {
      for await (const chunk of connection) connection.write(chunk);
    };
    const error = await met(way, (connection) => void echo(connection).catch(() => {}));
    expect(error.code).toBe("HANDSHAKE_FAILED");
    expect(error.message).toContain("echoes");
  });

  it("that answers with a key of low order is refused", async () => {
    for (const point of EPHEMERAL) {
      const error = await met(way, (connection) => void connection.write(challengeOf(point)));
      expect(error.code).toBe("HANDSHAKE_FAILED");
    }
  });

  it("that has another transform is no node of ours, and may serve its own", async () => {
    await using place = await folder();
    const transforms = [shs({ appKey: APP_KEY }), noise()] as const;
    for (const [theirs, ours] of [transforms, [transforms[1], transforms[0]]] as const) {
      const server = new MultiServer([[way.listening(place.path), theirs]]);
      await using serving = await server.server((stream) => stream.end());
      const address = serving.addresses[0] ?? "";
      // Ours gives up first.
      const node = new MultiServer([[way.dialling(), ours]], {
        limits: { handshakeTimeoutMs: 300 },
      });
      const error = await failure(node.client(address.replace(theirs.name, ours.name)));
      expect(error.name).toBe("HandshakeError");
      const stream = await new MultiServer([[way.dialling(), theirs]]).client(address);
      await stream.close();
      expect(await stream.closed).toBeUndefined();
    }
  });
});

describe("an address", () => {
  expectNoLeaks();

  it("with a key that nobody can hold is not dialled", async () => {
    let dialled = 0;
    await using impostor = await Impostor.start(NET, () => {
      dialled++;
    });
    for (const key of LONG_TERM) {
      const text = Buffer.from(key).toString("base64");
      const error = await failure(dialler(NET).client(`${impostor.section}~shs:${text}`));
      expect(error).toMatchObject({ code: "ADDRESS_MALFORMED", attempts: [{ stage: "parse" }] });
    }
    expect(dialled).toBe(0);
  });

  it("of an impostor costs the node behind the next alternative a moment, and nothing else", async () => {
    const server = new MultiServer([[NET.listening(""), shs({ appKey: APP_KEY })]]);
    await using serving = await server.server((stream) => stream.end());
    const plays: ((connection: Connection) => void)[] = [
      () => {},
      (connection) => void connection.end(),
      (connection) => void connection.write(new Uint8Array(1_000)),
    ];
    const impostors = await Promise.all(plays.map((play) => Impostor.start(NET, play)));
    const lies = impostors.map(({ section }) => `${section}~shs:${server.identity.id.text}`);
    const node = dialler(NET);
    const stream = await node.client([...lies, ...serving.addresses].join(";"));
    expect(stream.address).toBe(serving.addresses[0]);
    await stream.end();
    for await (const _ of stream);
    await stream.closed;
    expect(node.admission.places).toBe(0);
    for (const impostor of impostors) await impostor[Symbol.asyncDispose]();
  });
});
