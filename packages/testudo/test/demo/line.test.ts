import { createNetwork, type InboundMessage, type Network } from "testudo";
import { afterEach, describe, expect, test } from "vitest";
import {
  checksumOf,
  End,
  Line,
  LineChecker,
  type NumberedLine,
  type Verdict,
} from "../../src/demo/line.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The lines of a text as they are sent. */
function numbered(texts: readonly string[]): NumberedLine[] {
  let checksum = 0;
  return texts.map((text, number) => {
    checksum = checksumOf(bytesOf(text), checksum);
    return { number, checksum, sentAt: 1_000, bytes: bytesOf(text) };
  });
}

/** What a checker says when these lines come, and then the end. */
function verdictOn(lines: readonly NumberedLine[], total: number): Verdict {
  let verdict: Verdict | undefined;
  const checker = new LineChecker(
    () => 1_002,
    (said) => {
      verdict = said;
    },
  );
  const messages = [...lines.map((line) => Line.of(line)), End.of(total)];
  for (const { opcode, body } of messages) {
    const message = {
      opcode,
      body,
      as: (type: { opcode: number; decode(body: Uint8Array): unknown }) =>
        type.opcode === opcode ? type.decode(body) : undefined,
    } as unknown as InboundMessage;
    checker.newMessage({ message } as Parameters<LineChecker["newMessage"]>[0]);
  }
  if (verdict === undefined) throw new Error("no verdict");
  return verdict;
}

describe("LineChecker", () => {
  const lines = numbered(["one", "", "three", "four"]);

  test("verifies lines in order, empty ones too, and their latency", () => {
    const { latencies, ...verdict } = verdictOn(lines, 4);
    expect(verdict).toEqual({ verified: 4, missing: 0, wrong: 0 });
    expect(latencies.count).toBe(4);
    expect(latencies.percentile(1)).toBeCloseTo(2, 1);
  });

  test("finds what is missing: in the middle, at the end, altogether", () => {
    const without = (...numbers: number[]) =>
      verdictOn(
        lines.filter(({ number }) => !numbers.includes(number)),
        4,
      );
    expect(without(1)).toMatchObject({ verified: 3, missing: 1, wrong: 0 });
    expect(without(3)).toMatchObject({ verified: 3, missing: 1, wrong: 0 });
    expect(without(0, 1, 2, 3)).toMatchObject({ verified: 0, missing: 4, wrong: 0 });
  });

  test("finds what came twice, too late, or changed", () => {
    const [a, b, c, d] = lines as [NumberedLine, NumberedLine, NumberedLine, NumberedLine];
    expect(verdictOn([a, a, b, c, d], 4)).toMatchObject({ verified: 4, missing: 0, wrong: 1 });
    expect(verdictOn([a, c, b, d], 4)).toMatchObject({ verified: 3, missing: 1, wrong: 1 });
    const changed = { ...b, bytes: bytesOf("two") };
    expect(verdictOn([a, changed, c, d], 4)).toMatchObject({ verified: 3, missing: 0, wrong: 1 });
  });

  test("lines joined otherwise have another checksum", () => {
    const checksum = (texts: string[]): number => numbered(texts).at(-1)?.checksum ?? 0;
    expect(checksum(["ab", "c"])).not.toBe(checksum(["a", "bc"]));
  });
});

describe("on the wire", () => {
  const networks: Network[] = [];
  afterEach(async () => {
    await Promise.all(networks.splice(0).map((network) => network.close()));
  });

  test("a numbered line comes as it was; a body that is none closes the peer", async () => {
    const [a, b] = [createNetwork(), createNetwork()];
    networks.push(a, b);
    const got: unknown[] = [];
    const left = new Promise((resolve) => {
      void b.registerPlugin({
        newMessage: ({ message }) => void got.push(message.as(Line) ?? message.as(End)),
        nodeDeleted: ({ reason }) => resolve(reason?.code),
      });
    });
    const peer = await a.add(await b.listen("net:127.0.0.1:0~noise"));
    const line = {
      number: 4_294_967_295,
      checksum: 4_000_000_000,
      sentAt: 123.456,
      bytes: bytesOf("é"),
    };
    await peer.send(Line.of(line));
    await peer.send(End.of(7));
    await peer.send({ opcode: Line.opcode, body: new Uint8Array(15) });
    expect(await left).toBe("BODY_MALFORMED");
    expect(got).toEqual([line, 7]);
    expect(() => End.decode(new Uint8Array(3))).toThrow(/cannot be read/);
  });
});
