/**
 * SVG: the curves of a result as one picture, plot below plot. Written by hand, without a font of its own:
 * the same curves give the same text. It draws what it is given and never leaves a point out but those that
 * are no finite numbers.
 */

import { type Scale, scaleOf, tickText } from "./axis-ticks.ts";
import type { Plot, Series } from "./scenario.ts";

export interface PictureOptions {
  readonly title: string;
  /** A line below the title: seed, number of nodes. */
  readonly subtitle: string;
}

/** Told apart by people who see colours differently (after Okabe and Ito), dark enough on white. */
const COLOURS = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#8f6a00",
  "#56b4e9",
  "#000000",
  "#7f3fbf",
];
/** From the second round of colours on, lines are dashed. */
const DASHES = ["", "6 3", "2 3"];

const WIDTH = 640;
const PLOT_HEIGHT = 280;
const HEAD = 58;
const LEFT = 92;
const TOP = 34;
const BOTTOM = 52;
const GAP = 18;
const LEGEND_LINE = 19;
/** Width of a character of the legend, generously. */
const CHARACTER = 6.6;
/** The same for the title. */
const HEADLINE = 9.6;
/** With more points than this a curve has no marks. */
const MOST_MARKS = 60;

export function toSvg(plots: readonly Plot[], { title, subtitle }: PictureOptions): string {
  const longest = Math.max(0, ...plots.flatMap(({ series }) => series.map((s) => s.name.length)));
  const legend = Math.ceil(longest * CHARACTER) + 56;
  const width = Math.max(LEFT + WIDTH + legend, LEFT + Math.ceil(title.length * HEADLINE) + 20);
  const heights = plots.map(heightOf);
  const height = HEAD + heights.reduce((sum, each) => sum + each + GAP, 0);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${LEFT}" y="26" font-size="17" font-weight="bold">${escaped(title)}</text>`,
    `<text x="${LEFT}" y="45" fill="#555">${escaped(subtitle)}</text>`,
  ];
  let y = HEAD;
  for (const [index, plot] of plots.entries()) {
    const own = heights[index] ?? 0;
    lines.push(`<g transform="translate(${LEFT} ${y + TOP})">`);
    lines.push(...draw(plot, own - TOP - BOTTOM), "</g>");
    y += own + GAP;
  }
  lines.push("</svg>");
  return `${lines.join("\n")}\n`;
}

/** A legend that is longer than its plot makes the plot longer. */
function heightOf({ series }: Plot): number {
  return Math.max(PLOT_HEIGHT, series.length * LEGEND_LINE + 20) + TOP + BOTTOM;
}

function draw(plot: Plot, height: number): string[] {
  const points = plot.series.flatMap((series) => series.points);
  const x = scaleOf(
    plot.x,
    points.map(([at]) => at),
    9,
  );
  const y = scaleOf(
    plot.y,
    points.map(([, at]) => at),
    6,
  );
  const atX = (value: number): string => short(((value - x.min) / (x.max - x.min)) * WIDTH);
  const atY = (value: number): string => short((1 - (value - y.min) / (y.max - y.min)) * height);
  return [
    `<text x="0" y="-12" font-size="14" font-weight="bold">${escaped(plot.title)}</text>`,
    ...grid(x, y, atX, atY, height),
    `<text x="${WIDTH / 2}" y="${height + 38}" text-anchor="middle">${escaped(plot.x.label)}</text>`,
    `<text transform="translate(-74 ${height / 2}) rotate(-90)" text-anchor="middle">${escaped(plot.y.label)}</text>`,
    ...plot.series.flatMap((series, index) => curve(series, styleOf(index), atX, atY)),
    ...plot.series.flatMap(({ name }, index) => legendLine(name, index)),
  ];
}

function grid(
  x: Scale,
  y: Scale,
  atX: (value: number) => string,
  atY: (value: number) => string,
  height: number,
): string[] {
  const lines: string[] = [];
  for (const tick of y.ticks) {
    const at = atY(tick);
    lines.push(`<path d="M0 ${at}H${WIDTH}" stroke="#e4e4e4"/>`);
    lines.push(
      `<text x="-8" y="${at}" dy="4" text-anchor="end" fill="#555">${tickText(tick)}</text>`,
    );
  }
  for (const tick of x.ticks) {
    const at = atX(tick);
    lines.push(`<path d="M${at} 0V${height}" stroke="#f0f0f0"/>`);
    lines.push(`<path d="M${at} ${height}v5" stroke="#444"/>`);
    lines.push(
      `<text x="${at}" y="${height + 19}" text-anchor="middle" fill="#555">${tickText(tick)}</text>`,
    );
  }
  lines.push(`<path d="M0 0V${height}H${WIDTH}" fill="none" stroke="#444"/>`);
  return lines;
}

function curve(
  { points }: Series,
  style: string,
  atX: (value: number) => string,
  atY: (value: number) => string,
): string[] {
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const lines: string[] = [];
  if (finite.length > 1) {
    const path = finite.map(([x, y]) => `${atX(x)} ${atY(y)}`).join("L");
    lines.push(`<path d="M${path}" fill="none" ${style} stroke-width="1.8"/>`);
  }
  if (finite.length > MOST_MARKS) return lines;
  const [colour = ""] = style.split(" ");
  const fill = colour.replace("stroke=", "fill=");
  for (const [x, y] of finite) {
    lines.push(`<circle cx="${atX(x)}" cy="${atY(y)}" r="2.8" ${fill}/>`);
  }
  return lines;
}

function legendLine(name: string, index: number): string[] {
  const y = 8 + index * LEGEND_LINE;
  return [
    `<path d="M${WIDTH + 16} ${y}h22" ${styleOf(index)} stroke-width="2.4"/>`,
    `<text x="${WIDTH + 44}" y="${y}" dy="4">${escaped(name)}</text>`,
  ];
}

function styleOf(index: number): string {
  const colour = COLOURS[index % COLOURS.length];
  const dash = DASHES[Math.floor(index / COLOURS.length) % DASHES.length];
  return `stroke="${colour}"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}`;
}

/** Two digits behind the point are finer than a screen. */
function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML allows none of them
      .replace(/[\u0000-\u001f\u007f]/g, " ")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
  );
}
