/**
 * Figures to text: tables of medians with their range, and each target with its verdict.
 */

import { median } from "./measure.mjs";

/** @typedef {Map<string, Record<string, number>[]>} Results  Peer to one record a round; rounds line up. */

/** @param {number} value */
function figure(value) {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.1 || size === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** @param {number[]} values */
function cell(values) {
  const seen = values.filter(Number.isFinite);
  if (seen.length === 0) return "-";
  const range = `[${figure(Math.min(...seen))}-${figure(Math.max(...seen))}]`;
  return seen.length === 1 ? figure(median(seen)) : `${figure(median(seen))} ${range}`;
}

/**
 * @param {Results} results
 * @param {string} peer
 * @param {string} key
 */
const values = (results, peer, key) => (results.get(peer) ?? []).map((r) => r[key] ?? Number.NaN);

/**
 * @param {import("./types.mjs").Workload} workload
 * @param {Results} results
 */
export function table(workload, results) {
  const head = ["", ...workload.metrics.map(({ title, unit }) => `${title} (${unit})`)];
  const rows = [...results.keys()].map((peer) => [
    peer,
    ...workload.metrics.map(({ key }) => cell(values(results, peer, key))),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  return [head, ...rows]
    .map((row) => {
      const cells = row.map((text, i) =>
        i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0),
      );
      return `  ${cells.join("  ")}`;
    })
    .join("\n");
}

/**
 * Every target whose figures were measured. A ratio is the median of the ratios within each round, so that
 * a slow minute of the machine weighs on both sides of it.
 * @param {import("./types.mjs").Workload} workload
 * @param {Results} results
 */
export function verdicts(workload, results) {
  return workload.targets.flatMap((target) => {
    const { metric, peer = "testudo", against, againstMetric = metric } = target;
    const ours = values(results, peer, metric);
    const theirs = against === undefined ? undefined : values(results, against, againstMetric);
    const ratios = ours.map((value, i) =>
      theirs === undefined ? value : value / (theirs[i] ?? Number.NaN),
    );
    const value = median(ratios.filter(Number.isFinite));
    if (Number.isNaN(value)) return [];
    const named = (/** @type {string} */ key) =>
      workload.metrics.find((found) => found.key === key);
    const { title = metric, unit = "" } = named(metric) ?? {};
    const other = againstMetric === metric ? "" : ` ${named(againstMetric)?.title}`;
    const pass =
      value >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
      value <= (target.atMost ?? Number.POSITIVE_INFINITY);
    const bound = target.atLeast === undefined ? `<= ${target.atMost}` : `>= ${target.atLeast}`;
    const beside = against === undefined ? undefined : `${against}${other}`;
    return [{ workload: workload.title, peer, title, unit, against: beside, value, bound, pass }];
  });
}

/** @param {ReturnType<typeof verdicts>[number]} verdict */
export function verdictLine({ peer, title, unit, against, value, bound, pass }) {
  const what = against === undefined ? `${figure(value)} ${unit}` : `${figure(value)} x ${against}`;
  return `  ${pass ? "PASS" : "MISS"}  ${peer} ${title}: ${what} (${bound})`;
}
