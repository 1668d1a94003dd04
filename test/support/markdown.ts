/**
 * Markdown, as far as our own pages use it: fenced code, tables, links, headings.
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** One page of the repository. */
export class Page {
  /** From the root: `docs/limits.md`. */
  readonly path: string;
  readonly #lines: readonly string[];

  constructor(path: string) {
    this.path = path;
    this.#lines = readFileSync(`${ROOT}/${path}`, "utf8").split("\n");
  }

  /** The fenced code of one language, in the order of the page. */
  code(language: string): string[] {
    const blocks: string[] = [];
    let block: string[] | undefined;
    let wanted = false;
    for (const line of this.#lines) {
      if (!line.startsWith("```")) block?.push(line);
      else if (block === undefined) {
        wanted = line === `\`\`\`${language}`;
        block = [];
      } else {
        if (wanted) blocks.push(`${block.join("\n")}\n`);
        block = undefined;
      }
    }
    return blocks;
  }

  /** The text outside fenced code. */
  get prose(): string {
    let fenced = false;
    const kept = this.#lines.filter((line) => {
      if (line.startsWith("```")) fenced = !fenced;
      return !fenced;
    });
    return kept.join("\n");
  }

  /** Rows of every table whose head begins with these columns, without the marks of code. */
  rows(...columns: readonly string[]): string[][] {
    const rows: string[][] = [];
    let inside = false;
    for (const line of this.prose.split("\n")) {
      const cells = line.startsWith("|") ? cellsOf(line) : undefined;
      if (cells === undefined) inside = false;
      else if (!inside) inside = columns.every((column, index) => cells[index] === column);
      else if (!/^-+$/.test(cells[0] ?? "")) rows.push(cells);
    }
    return rows;
  }

  get links(): string[] {
    const text = this.prose.replace(/`[^`\n]*`/g, "");
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  }

  /** What headings can be linked to by. */
  get anchors(): string[] {
    return [...this.prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} -]/gu, "")
        .replaceAll(" ", "-"),
    );
  }
}

/** The pages at the root and below `docs`. */
export function pages(): Page[] {
  const paths = [
    ...readdirSync(ROOT),
    ...readdirSync(`${ROOT}/docs`, { recursive: true, encoding: "utf8" }).map((path) =>
      `docs/${path}`.replaceAll("\\", "/"),
    ),
  ];
  return paths.filter((path) => path.endsWith(".md")).map((path) => new Page(path));
}

function cellsOf(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim().replace(/^`([^`]*)`$/, "$1"));
}
