/**
 * Text table: columns for people, numbers to the right.
 */

import type { Table } from "./scenario.ts";

/** Lines without a line feed behind the last. Control characters become spaces. */
export function toText({ columns, rows }: Table): string {
  const cells = [columns, ...rows].map((row) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
    row.map((value) => String(value).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ")),
  );
  const right = columns.map((_, at) => rows.every((row) => typeof row[at] === "number"));
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, at) => {
        const width = widths[at] ?? 0;
        return right[at] === true ? text.padStart(width) : text.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const [head = [], ...rest] = cells;
  return [line(head), rule, ...rest.map(line)].join("\n");
}
