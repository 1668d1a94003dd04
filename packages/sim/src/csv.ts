/**
 * CSV: a table as RFC 4180 has it, but with LF, so that the file is the same on every machine.
 */

import type { Table } from "./scenario.ts";

/** The header, then the rows. Throws `RangeError` for a row that is longer or shorter than the header. */
export function toCsv({ columns, rows }: Table): string {
  for (const row of rows) {
    if (row.length !== columns.length) {
      throw new RangeError(
        `a row has ${row.length} fields and the table ${columns.length} columns`,
      );
    }
  }
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\n`).join("");
}

function field(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
