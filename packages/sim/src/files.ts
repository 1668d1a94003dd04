/**
 * @testudo/sim/files: scenarios from files, and results to files. Node only.
 */

export { checkResult, type Run, runText, writeResults } from "./results.ts";
export { loadScenario } from "./scenario-file.ts";
