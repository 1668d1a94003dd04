/**
 * Diversity: how many nodes of one subnet a bucket and a whole table may hold. An attacker has keys for
 * nothing, but addresses in many networks cost him something; this is what makes an eclipse dear.
 *
 * A /24 of IPv4 or a /48 of IPv6 counts as one owner; a host by name counts by its last two labels. Hosts
 * that nobody outside can reach or claim (loopback, private, link-local) are not counted: a laboratory on
 * one machine is no attack, and the addresses prove nothing either way.
 */

/** The subnet that a host is counted under, or `undefined` when it is not counted. `host`: without port or brackets. */
export function subnetOf(host: string): string | undefined {
  const plain = host.replace(/^\[|\]$/g, "").toLowerCase();
  const four = readIpv4(plain);
  if (four !== undefined) return subnetOfIpv4(four);
  if (plain.includes(":")) {
    const groups = readIpv6(plain);
    return groups === undefined ? undefined : subnetOfIpv6(groups);
  }
  const labels = plain.split(".").filter((label) => label !== "");
  if (labels.length === 0 || labels[labels.length - 1] === "localhost") return undefined;
  return `name:${labels.slice(-2).join(".")}`;
}

/** The subnets of several hosts, each once. */
export function subnetsOf(hosts: Iterable<string>): string[] {
  const found = new Set<string>();
  for (const host of hosts) {
    const subnet = subnetOf(host);
    if (subnet !== undefined) found.add(subnet);
  }
  return [...found];
}

/** How many contacts of each subnet each bucket, and the whole table, hold. */
export class SubnetCounts {
  readonly #perBucket: number;
  readonly #perTable: number;
  readonly #counts = new Map<string, number>();

  constructor(perBucket: number, perTable: number) {
    this.#perBucket = perBucket;
    this.#perTable = perTable;
  }

  /** Whether a contact of these subnets has room. One of several that is crowded is enough to refuse it. */
  fits(bucket: number, subnets: readonly string[] | undefined): boolean {
    if (subnets === undefined) return true;
    for (const subnet of subnets) {
      if (this.#of(subnet) >= this.#perTable) return false;
      if (this.#of(`${bucket}/${subnet}`) >= this.#perBucket) return false;
    }
    return true;
  }

  add(bucket: number, subnets: readonly string[] | undefined): void {
    this.#move(bucket, subnets, 1);
  }

  remove(bucket: number, subnets: readonly string[] | undefined): void {
    this.#move(bucket, subnets, -1);
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  #move(bucket: number, subnets: readonly string[] | undefined, step: number): void {
    if (subnets === undefined) return;
    for (const subnet of subnets) {
      for (const key of [subnet, `${bucket}/${subnet}`]) {
        const count = this.#of(key) + step;
        if (count > 0) this.#counts.set(key, count);
        else this.#counts.delete(key);
      }
    }
  }
}

function readIpv4(text: string): number[] | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const parts = text.split(".").map(Number);
  return parts.every((part) => part < 256) ? parts : undefined;
}

function subnetOfIpv4(parts: readonly number[]): string | undefined {
  const [a = 0, b = 0, c = 0] = parts;
  const here = a === 0 || a === 127 || a === 10;
  // 100.64/10 is carriers' shared space, 169.254/16 link-local, 172.16/12 and 192.168/16 private.
  const inside =
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168);
  return here || inside ? undefined : `4:${a}.${b}.${c}`;
}

/** The eight groups, or `undefined` for what is no IPv6 address. */
function readIpv6(text: string): number[] | undefined {
  const address = text.replace(/%.*$/, "");
  const halves = address.split("::");
  if (halves.length > 2) return undefined;
  const head = readGroups(halves[0] ?? "");
  const tail = readGroups(halves[1] ?? "");
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function readGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  for (const part of text.split(":")) {
    const four = readIpv4(part);
    if (four !== undefined) {
      const [a = 0, b = 0, c = 0, d = 0] = four;
      groups.push(a * 256 + b, c * 256 + d);
    } else if (/^[0-9a-f]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

function subnetOfIpv6(groups: readonly number[]): string | undefined {
  const [a = 0, b = 0, c = 0, , , f = 0, g = 0, h = 0] = groups;
  const zeros = groups.slice(0, 5).every((group) => group === 0);
  if (zeros && f === 0xffff) return subnetOfIpv4([g >> 8, g & 255, h >> 8, h & 255]);
  if (zeros && f === 0 && g === 0 && h <= 1) return undefined;
  // fc00::/7 is private, fe80::/10 link-local.
  if ((a & 0xfe00) === 0xfc00 || (a & 0xffc0) === 0xfe80) return undefined;
  return `6:${a.toString(16)}:${b.toString(16)}:${c.toString(16)}`;
}
