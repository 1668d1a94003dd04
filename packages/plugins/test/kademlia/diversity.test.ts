import { describe, expect, it } from "vitest";
import { SubnetCounts, subnetOf, subnetsOf } from "../../src/kademlia/diversity.ts";

describe("subnets", () => {
  it.each([
    ["8.8.8.8", "4:8.8.8"],
    ["172.32.0.1", "4:172.32.0"],
    ["100.63.1.1", "4:100.63.1"],
    ["2001:db8:7:1::9", "6:2001:db8:7"],
    ["[2001:DB8:7:FF00::1]", "6:2001:db8:7"],
    ["2001:db8::1%eth0", "6:2001:db8:0"],
    ["::ffff:8.8.8.8", "4:8.8.8"],
    ["::ffff:808:808", "4:8.8.8"],
    ["a.nodes.example.org", "name:example.org"],
    ["b.EXAMPLE.org.", "name:example.org"],
  ])("%s counts under %s", (host, subnet) => {
    expect(subnetOf(host)).toBe(subnet);
  });

  it.each([
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.1",
    "192.168.3.4",
    "169.254.1.1",
    "100.64.0.1",
    "::1",
    "::",
    "[::1]",
    "fe80::1%eth0",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "localhost",
    "a.localhost",
    "",
    "1:2",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "g::1",
  ])("%s is not counted", (host) => {
    expect(subnetOf(host)).toBeUndefined();
  });

  it("are named once for several hosts", () => {
    expect(subnetsOf(["8.8.8.8", "127.0.0.1", "8.8.8.9", "9.9.9.9"])).toEqual([
      "4:8.8.8",
      "4:9.9.9",
    ]);
  });
});

describe("subnet counts", () => {
  it("hold so many in a bucket and so many in all", () => {
    const counts = new SubnetCounts(2, 3);
    const nets = ["4:8.8.8"];
    for (const bucket of [0, 0, 1]) {
      expect(counts.fits(bucket, nets)).toBe(true);
      counts.add(bucket, nets);
    }
    expect(counts.fits(1, nets)).toBe(false);
    expect(counts.fits(2, ["4:1.1.1", "4:8.8.8"])).toBe(false);
    expect(counts.fits(2, ["4:1.1.1"])).toBe(true);
    expect(counts.fits(0, undefined)).toBe(true);
    counts.remove(1, nets);
    expect(counts.fits(0, nets)).toBe(false);
    expect(counts.fits(1, nets)).toBe(true);
  });
});
