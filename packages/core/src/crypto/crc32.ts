/**
 * CRC-32 (IEEE 802.3, reflected, polynomial 0xedb88320) by slicing-by-8, in plain TypeScript.
 *
 * Eight tables let one step take eight bytes; a single table costs more than the cipher does. It
 * guards against accidents only, never against an adversary.
 */

const POLYNOMIAL = 0xedb88320;

/** Table `n` (256 entries from `256 * n`) is the effect of a byte that has `n` zero bytes behind it. */
const tables: Int32Array = /* @__PURE__ */ makeTables();

function makeTables(): Int32Array {
  const made = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
    made[byte] = value;
  }
  for (let at = 256; at < made.length; at++) {
    const shorter = made[at - 256] as number;
    made[at] = (shorter >>> 8) ^ (made[shorter & 255] as number);
  }
  return made;
}

/** The checksum of `bytes`, continued from `previous`: `crc32(b, crc32(a))` is that of `a` and `b` joined. Unsigned. */
export function crc32(bytes: Uint8Array, previous: number = 0): number {
  const t = tables;
  const length = bytes.length;
  let crc = ~previous;
  let at = 0;
  for (; at + 8 <= length; at += 8) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (t[1792 + (crc & 255)] as number) ^
      (t[1536 + ((crc >>> 8) & 255)] as number) ^
      (t[1280 + ((crc >>> 16) & 255)] as number) ^
      (t[1024 + (crc >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
  }
  for (; at < length; at++) {
    crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] as number)) & 255] as number);
  }
  return ~crc >>> 0;
}
