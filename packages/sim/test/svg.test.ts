import { expect, test } from "vitest";
import type { Plot } from "../src/scenario.ts";
import { toSvg } from "../src/svg.ts";

const options = { title: "A <title> & more", subtitle: "seed 1, 10 nodes" };
const plot = (series: Plot["series"], title = "plot"): Plot => ({
  title,
  x: { label: "x axis" },
  y: { label: "y axis" },
  series,
});

test("says what it shows, escaped", () => {
  const svg = toSvg(
    [
      plot([
        {
          name: "d = 1 & 2",
          points: [
            [0, 0],
            [1, 10],
          ],
        },
      ]),
    ],
    options,
  );
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="\d+" height="\d+"/);
  for (const text of [
    "A &lt;title&gt; &amp; more",
    "seed 1, 10 nodes",
    "x axis",
    "d = 1 &amp; 2",
  ]) {
    expect(svg).toContain(`>${text}</text>`);
  }
  expect(svg.endsWith("</svg>\n")).toBe(true);
});

test("the same curves give the same text, plot below plot", () => {
  const plots = [plot([{ name: "a", points: [[0, 1]] }], "one"), plot([], "two")];
  const svg = toSvg(plots, options);
  expect(toSvg(structuredClone(plots), options)).toBe(svg);
  expect(svg.indexOf(">one<")).toBeLessThan(svg.indexOf(">two<"));
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

test("a point that is no finite number is left out", () => {
  const points = [
    [0, 0],
    [1, Number.NaN],
    [2, Number.POSITIVE_INFINITY],
    [3, 3],
  ] as const;
  const svg = toSvg([plot([{ name: "a", points }])], options);
  expect(svg.match(/<circle /g)).toHaveLength(2);
  expect(svg).not.toMatch(/NaN|Infinity/);
});

test("curves differ by colour, and then by dashes", () => {
  const series = Array.from({ length: 12 }, (_, at) => ({
    name: `series ${at}`,
    points: [[0, at] as const, [1, at] as const],
  }));
  const svg = toSvg([plot(series)], options);
  const styles = svg.match(
    /stroke="#[0-9a-f]{6}"(?: stroke-dasharray="[\d ]+")? stroke-width="2.4"/g,
  );
  expect(new Set(styles).size).toBe(12);
});

test("a long curve has no marks", () => {
  const points = Array.from({ length: 500 }, (_, at) => [at, at] as const);
  expect(toSvg([plot([{ name: "a", points }])], options)).not.toContain("<circle");
});
