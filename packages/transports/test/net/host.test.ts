import { describe, expect, it } from "vitest";
import { isLoopback, isWildcard, meaningOf, netSection, plainIp } from "../../src/net/host.ts";

describe("hosts", () => {
  it("stand in a section as multiserver writes them", () => {
    expect(netSection("::1", 8008).text).toBe("net:::1:8008");
    expect(netSection("::1", 8008).args).toEqual(["", "", "1", "8008"]);
    expect(netSection("::ffff:192.0.2.1", 80).text).toBe("net:192.0.2.1:80");
    expect(netSection("example.org", 80).text).toBe("net:example.org:80");
  });

  it("are loopback, wildcard or neither", () => {
    const loopback = ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"];
    expect(loopback.map(isLoopback)).not.toContain(false);
    const other = ["192.0.2.1", "::", "::2", "1127.0.0.1", "localhost"];
    expect(other.map(isLoopback)).not.toContain(true);
    const wildcards = ["0.0.0.0", "::", "0::", "0:0:0:0:0:0:0:0", "::0.0.0.0"];
    expect(wildcards.map(isWildcard)).not.toContain(false);
    expect(["", "0", ":", "0.0.0", "::1", "0.0.0.1", "a"].map(isWildcard)).not.toContain(true);
    expect(plainIp("::ffff:a:b")).toBe("::ffff:a:b");
  });
});

describe("meaningOf", () => {
  const failure = (code: string, address?: string): Error =>
    Object.assign(new Error("raw"), { code }, address === undefined ? {} : { address });

  it("has failures people can read", () => {
    expect(meaningOf(failure("EACCES"))).toContain("above 1023");
    expect(meaningOf(failure("ENOTFOUND"))).toContain("no such host name");
    expect(meaningOf(failure("EWHATEVER"))).toBe("raw");
    expect(meaningOf(Object.assign(new Error(""), { code: "EODD" }))).toBe("EODD");
    expect(meaningOf("thrown text")).toBe("thrown text");
    expect(meaningOf(undefined)).toBe("undefined");
  });

  it("says of several failures where each was, and the same thing once", () => {
    const several = new AggregateError([
      failure("ECONNREFUSED", "::1"),
      failure("ETIMEDOUT", "192.0.2.1"),
      failure("ECONNREFUSED", "127.0.0.1"),
      new Error("odd"),
    ]);
    expect(meaningOf(several)).toBe(
      "nobody listens there (ECONNREFUSED) at ::1, 127.0.0.1; no answer (ETIMEDOUT) at 192.0.2.1; odd",
    );
  });
});
