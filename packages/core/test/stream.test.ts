import { afterEach, describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { networkError } from "../src/errors.ts";
import { encodeHeader } from "../src/frame.ts";
import { encodeGoodbye, type Goodbye } from "../src/goodbye.ts";
import { LANES } from "../src/lane.ts";
import { OPCODES } from "../src/opcode.ts";
import { Rig, type RigOptions } from "./support/stream-rig.ts";

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function frame(
  opcode: number,
  body: Uint8Array = new Uint8Array(0),
  nonce: number = 1,
): Uint8Array {
  return concat(encodeHeader(opcode, nonce, 0, [body]), body);
}

function goodbye(said: Goodbye): Uint8Array {
  return frame(OPCODES.disconnect, encodeGoodbye(said));
}

let rigs: Rig[] = [];

function rig(options: RigOptions = {}): Rig {
  const made = new Rig(options);
  rigs.push(made);
  return made;
}

afterEach(async () => {
  for (const { stream, runtime, reasons, releases } of rigs.splice(0)) {
    stream.abort(networkError("STREAM_CLOSED", "the test is over"));
    await runtime.advance(10_000);
    expect(runtime.pending).toBe(0);
    expect(reasons).toHaveLength(1);
    expect(releases).toBeLessThanOrEqual(1);
    await stream.released;
  }
  rigs = [];
});

describe("what comes in", () => {
  it("is handed on frame by frame, with what came behind the handshake first", async () => {
    const bytes = concat(frame(1_001), frame(1_002, toUtf8("body")), frame(1_003));
    const { connection, frames, stream } = rig({ opened: [frame(1_000), bytes.subarray(0, 5)] });
    connection.receive(bytes.subarray(5, 30), bytes.subarray(30));
    await tick();
    expect(frames.map(({ opcode }) => opcode)).toEqual([1_000, 1_001, 1_002, 1_003]);
    expect(frames[2]?.payload).toEqual(toUtf8("body"));
    expect([stream.messagesIn, stream.framesIn, stream.bytesIn]).toEqual([4, 4, bytes.length - 5]);
  });

  it("counts core's own frames, but not as messages", async () => {
    const { connection, stream } = rig();
    connection.receive(frame(OPCODES.confirm, Uint8Array.of(1)), frame(1_000));
    await tick();
    expect([stream.framesIn, stream.messagesIn]).toEqual([2, 1]);
  });

  it("goes to another handler from the next frame on", async () => {
    const made = rig();
    const others: number[] = [];
    const { handler } = made.stream;
    made.onFrame = () => {
      made.stream.handler = { ...handler, frame: ({ opcode }) => others.push(opcode) };
    };
    made.connection.receive(concat(frame(1_000), frame(1_001)));
    await tick();
    expect([made.opcodes, others]).toEqual([[1_000], [1_001]]);
    made.stream.handler = handler;
  });

  it("waits while it is held, in the middle of a chunk and between chunks", async () => {
    const made = rig();
    const { connection, stream } = made;
    made.onFrame = () => stream.hold();
    connection.receive(concat(frame(1_000), frame(1_001)), frame(1_002));
    for (const seen of [1, 2, 3]) {
      await tick();
      expect(made.frames).toHaveLength(seen);
      stream.release();
    }
    stream.release();
  });

  it("waits while it is held between the pieces that one chunk opened to", async () => {
    const made = rig();
    const { connection, session, stream } = made;
    session.open = () => [frame(1_000), frame(1_001), frame(1_002)];
    made.onFrame = () => stream.hold();
    connection.receive(Uint8Array.of(1));
    for (const seen of [1, 2, 3]) {
      await tick();
      expect(made.frames).toHaveLength(seen);
      stream.release();
    }
  });

  it("is nothing once the stream is over, held or not", async () => {
    const made = rig();
    const { connection, stream } = made;
    made.onFrame = () => stream.hold();
    connection.receive(concat(frame(1_000), frame(1_001)));
    await tick();
    stream.close({ code: "STREAM_CLOSED", text: "enough" });
    const { bytesIn } = stream;
    connection.receive(frame(1_002));
    await tick();
    expect(made.opcodes).toEqual([1_000]);
    expect(stream.bytesIn).toBe(bytesIn);
    // Held or not, it reads on to the other side's end.
    connection.finish();
    await tick();
    expect(made.releases).toBe(1);
  });
});

describe("what breaks the protocol", () => {
  const bad = frame(1_000, toUtf8("body"));
  bad[20] = 0;

  it("ends the stream with the code that says so, and tells the other side", async () => {
    const made = rig();
    made.connection.receive(concat(frame(1_000), bad, frame(1_001)));
    await tick();
    expect([made.opcodes, made.codes]).toEqual([[1_000], ["CHECKSUM_MISMATCH"]]);
    expect(made.said).toEqual({
      code: "CHECKSUM_MISMATCH",
      text: made.reasons[0]?.message,
    });
  });

  it("may be found by the handler, or be any other failure of it", async () => {
    for (const [thrown, code] of [
      [networkError("BODY_MALFORMED", "unreadable"), "BODY_MALFORMED"],
      [new TypeError("a bug"), "FRAME_MALFORMED"],
    ] as const) {
      const made = rig();
      made.onFrame = () => {
        throw thrown;
      };
      made.connection.receive(concat(frame(1_000), frame(1_001)));
      await tick();
      expect([made.codes, made.opcodes, made.said.code]).toEqual([[code], [1_000], code]);
    }
  });

  it("may be found by the session", async () => {
    const made = rig();
    made.session.open = () => {
      throw networkError("CHECKSUM_MISMATCH", "a forged box");
    };
    made.connection.receive(Uint8Array.of(1), Uint8Array.of(2));
    await tick();
    expect(made.codes).toEqual(["CHECKSUM_MISMATCH"]);
  });

  it("is a frame beyond the bound, signature included", async () => {
    const limits = { maxMessageBytes: 100 };
    const fits = rig({ limits });
    fits.connection.receive(frame(1_000, new Uint8Array(196)));
    const tooLarge = rig({ limits });
    tooLarge.connection.receive(frame(1_000, new Uint8Array(197)));
    await tick();
    expect([fits.codes, tooLarge.codes]).toEqual([[], ["FRAME_TOO_LARGE"]]);
  });
});

describe("the other side's end", () => {
  it("is its goodbye, with what came before and nothing behind", async () => {
    const made = rig();
    const { connection } = made;
    connection.receive(
      concat(frame(1_000), goodbye({ code: "STREAM_IDLE", text: "asleep" }), frame(1_001)),
    );
    await tick();
    expect([made.opcodes, made.codes]).toEqual([[1_000], ["STREAM_IDLE"]]);
    expect(made.reasons[0]?.message).toBe("closed by the peer: asleep");
    // It has said why: we end without a word of our own.
    expect(connection.writes).toEqual([]);
    expect(connection.ended).toBe(true);
    connection.finish();
    await tick();
    expect(made.releases).toBe(1);
  });

  it("without a goodbye is a truncation, inside a frame or not, cut or not", async () => {
    for (const [bytes, error] of [
      [frame(1_000), undefined],
      [frame(1_000).subarray(0, 9), undefined],
      [frame(1_000), new Error("reset")],
    ] as const) {
      const made = rig({ says: true });
      made.connection.receive(bytes);
      made.connection.finish(error);
      await tick();
      expect(made.codes).toEqual(["TRUNCATED"]);
      expect(made.releases).toBe(1);
    }
  });

  it("keeps the transport's own code", async () => {
    const made = rig();
    made.connection.finish(networkError("STREAM_IDLE", "no segment for a minute"));
    await tick();
    expect(made.codes).toEqual(["STREAM_IDLE"]);
  });

  it("said by the session alone is a close without a reason, unless a frame is unfinished", async () => {
    const polite = rig({ says: true });
    polite.connection.receive(frame(1_000), Uint8Array.of(0xff));
    const hasty = rig({ says: true });
    hasty.connection.receive(frame(1_000).subarray(0, 9), Uint8Array.of(0xff));
    await tick();
    expect([polite.codes, hasty.codes]).toEqual([["STREAM_CLOSED"], ["TRUNCATED"]]);
    expect(polite.reasons[0]?.message).toMatch(/without a reason/);
  });
});

describe("close", () => {
  it("is over at once for everybody above, and brings what was sent before its goodbye", async () => {
    const made = rig();
    const { connection, stream } = made;
    const batch = stream.send(LANES.bulk, 1_000, 7, 0, [toUtf8("last words")]);
    stream.close({ code: "STREAM_IDLE", text: "bye" });
    expect([made.codes, stream.ended?.code]).toEqual([["STREAM_IDLE"], "STREAM_IDLE"]);
    expect(() => stream.send(LANES.normal, 1_001, 8, 0, [])).toThrow(made.reasons[0]);
    stream.close({ code: "STREAM_CLOSED", text: "again" });
    await tick();
    await batch.sent;
    expect(made.sent.map(({ opcode }) => opcode)).toEqual([1_000, OPCODES.disconnect]);
    expect(made.said).toEqual({ code: "STREAM_IDLE", text: "bye" });
    expect(connection.ended).toBe(true);
    expect(made.releases).toBe(0);
    connection.finish();
    await stream.released;
    expect(made.releases).toBe(1);
    expect(connection.aborted).toBeDefined();
  });

  it("waits for the other side as long as it may, then cuts", async () => {
    const made = rig();
    made.stream.close({ code: "STREAM_CLOSED", text: "bye" });
    await made.runtime.advance(99);
    expect(made.releases).toBe(0);
    await made.runtime.advance(1);
    expect(made.releases).toBe(1);
    expect(made.connection.aborted).toBe(made.reasons[0]);
  });

  it("has new time whenever something more goes out", async () => {
    const made = rig({ limits: { maxSendBufferBytes: 10_000_000 } });
    const { connection, runtime, stream } = made;
    connection.welcome = false;
    for (let i = 0; i < 20; i++) stream.send(LANES.normal, 1_000, i, 0, [new Uint8Array(60_000)]);
    await tick();
    stream.close({ code: "STREAM_CLOSED", text: "bye" });
    while (stream.queuedBytes > 0) {
      await runtime.advance(90);
      expect(made.releases).toBe(0);
      connection.relax();
      connection.welcome = false;
      await tick();
    }
    connection.relax();
    await runtime.advance(90);
    expect(made.said.text).toBe("bye");
    expect(made.sent).toHaveLength(21);
    await runtime.advance(20);
    expect(made.releases).toBe(1);
  });

  it("says goodbye even when the queue is full", async () => {
    const made = rig({ limits: { maxSendBufferBytes: 1_000 } });
    const { connection, stream } = made;
    connection.welcome = false;
    stream.send(LANES.normal, 1_000, 1, 0, [new Uint8Array(900)]);
    await tick();
    stream.send(LANES.normal, 1_000, 2, 0, [new Uint8Array(900)]);
    expect(() => stream.send(LANES.normal, 1_000, 3, 0, [new Uint8Array(900)])).toThrow();
    stream.close({ code: "SEND_BUFFER_FULL", text: "you are too slow" });
    connection.relax();
    await tick();
    expect(made.said.code).toBe("SEND_BUFFER_FULL");
  });

  it("may be told the reason that is for this side only", async () => {
    const made = rig();
    const reason = networkError("NETWORK_CLOSED", "for us", { peer: "them" });
    made.stream.close({ code: "STREAM_CLOSED", text: "for them" }, reason);
    await tick();
    expect(made.reasons).toEqual([reason]);
    expect(made.said).toEqual({ code: "STREAM_CLOSED", text: "for them" });
  });
});

describe("abort", () => {
  it("is over now: nothing more goes out, and what waits is rejected", async () => {
    const made = rig();
    const batch = made.stream.send(LANES.normal, 1_000, 1, 0, [toUtf8("never")]);
    const reason = networkError("STREAM_CLOSED", "replaced");
    made.stream.abort(reason);
    made.stream.abort(networkError("STREAM_IDLE", "again"));
    await expect(batch.sent).rejects.toBe(reason);
    expect(made.connection.aborted).toBe(reason);
    expect([made.reasons, made.releases]).toEqual([[reason], 1]);
    await tick();
    expect(made.connection.writes).toEqual([]);
  });

  it("may come from inside the end of the stream", async () => {
    const made = rig();
    const { ended } = made.stream.handler;
    made.stream.handler.ended = (reason) => {
      ended(reason);
      made.stream.abort(networkError("STREAM_CLOSED", "nested"));
    };
    made.stream.close({ code: "STREAM_CLOSED", text: "bye" });
    await tick();
    expect([made.reasons.length, made.releases]).toEqual([1, 1]);
    expect(made.runtime.pending).toBe(0);
    await made.stream.released;
  });

  it("is what happens when sealing fails", async () => {
    const made = rig();
    made.session.broken = new Error("no nonce is left");
    const batch = made.stream.send(LANES.normal, 1_000, 1, 0, []);
    await expect(batch.sent).rejects.toMatchObject({ code: "STREAM_CLOSED" });
    expect(made.codes).toEqual(["STREAM_CLOSED"]);
    expect(made.releases).toBe(1);
  });

  it("is what a peer gets that takes nothing for too long while something waits", async () => {
    const made = rig();
    const { connection, runtime, stream } = made;
    connection.welcome = false;
    for (let i = 0; i < 3; i++) {
      stream.send(LANES.normal, 1_000, i, 0, [new Uint8Array(100)]);
      await runtime.advance(900);
      expect(made.reasons).toEqual([]);
      connection.relax();
      connection.welcome = false;
      await tick();
    }
    connection.relax();
    await runtime.advance(5_000);
    expect(made.reasons).toEqual([]);
    connection.welcome = false;
    const batch = stream.send(LANES.normal, 1_000, 9, 0, []);
    await runtime.advance(999);
    expect(made.reasons).toEqual([]);
    await runtime.advance(1);
    expect(made.codes).toEqual(["STREAM_IDLE"]);
    await expect(batch.sent).rejects.toMatchObject({ code: "STREAM_IDLE" });
  });
});

describe("a stream", () => {
  it("knows its link and counts what goes through it", async () => {
    const { connection, stream } = rig();
    expect(stream).toMatchObject({
      side: "listener",
      address: "manual:far:1~plain",
      local: true,
      auth: "friend",
      ended: undefined,
    });
    expect(stream.remoteKey).toEqual(new Uint8Array(32).fill(4));
    expect(stream.remote.text).toBe("manual:far:1");
    const header = encodeHeader(1_000, 1, 0, []).slice();
    stream.sendEncoded(LANES.normal, header, []);
    stream.send(LANES.control, OPCODES.welcome, 0, 0, [Uint8Array.of(0)]);
    expect(stream.queuedBytes).toBe(35);
    await tick();
    expect([stream.queuedBytes, stream.bytesOut, stream.messagesOut]).toEqual([0, 35, 1]);
    expect(connection.written.length).toBe(35);
  });
});
