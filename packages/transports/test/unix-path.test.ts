/** The paths of `unix`: how they are written, how long they may be, and what Windows makes of them. */

import { type Listener, parseAddress, type Section } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../test/support/leaks.ts";
import { failureOf } from "../../../test/support/traffic.ts";
import { unix } from "../src/unix/index.ts";
import { pathOf, systemPath, unixSection } from "../src/unix/path.ts";

expectNoLeaks();

const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });
const listen = async (place: Section): Promise<Listener | undefined> =>
  unix().listen?.(place, () => {});

describe("paths", () => {
  it("are the arguments joined again, with and without escapes", () => {
    for (const text of ["unix:/tmp/a:b/socket", "unix:/tmp/a!:b/socket"]) {
      const [section] = parseAddress(text).routes[0]?.sections ?? [];
      expect(pathOf(section as Section)).toBe("/tmp/a:b/socket");
    }
    expect(unixSection("/tmp/a:b/c~d;e!f").text).toBe("unix:/tmp/a:b/c!~d!;e!!f");
    expect(pathOf(unixSection("C:\\pipe\\x"))).toBe("C:\\pipe\\x");
  });

  it("must be there", async () => {
    for (const text of ["unix", "unix:"]) {
      const section = { ...unixSection(""), args: text === "unix" ? [] : [""], text };
      expect(() => unix().check?.(section, "dialer")).toThrow(
        expect.objectContaining({ code: "ADDRESS_MALFORMED", address: text }),
      );
      for (const use of [unix().dial(section, soon()), listen(section)]) {
        expect(await failureOf(use)).toMatchObject({ code: "ADDRESS_MALFORMED", address: text });
      }
    }
  });

  it("must fit into the system's structure, in bytes", () => {
    const long = (bytes: number): Section => unixSection(`/${"x".repeat(bytes - 1)}`);
    expect(pathOf(long(107), "linux")).toHaveLength(107);
    expect(() => pathOf(long(108), "linux")).toThrow(
      "at most 107 bytes on this system, and this one has 108",
    );
    expect(pathOf(long(103), "darwin")).toHaveLength(103);
    expect(() => pathOf(long(104), "darwin")).toThrow("at most 103 bytes");
    expect(() => pathOf(unixSection(`/${"é".repeat(54)}`), "linux")).toThrow("has 109");
    expect(pathOf(long(200), "win32")).toHaveLength(200);
  });

  it("are names of pipes on Windows, and of files elsewhere", () => {
    expect(systemPath("C:\\run\\socket", "win32")).toBe("\\\\?\\pipe\\C:\\run\\socket");
    expect(systemPath("node", "win32")).toBe("\\\\?\\pipe\\node");
    for (const name of ["\\\\?\\pipe\\node", "\\\\.\\pipe\\node"]) {
      expect(systemPath(name, "win32")).toBe(name);
      expect(systemPath(name, "linux")).toBe(name);
    }
    expect(systemPath("/run/socket", "linux")).toBe("/run/socket");
  });
});
