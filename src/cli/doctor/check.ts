/** What a check says. Checks are pure functions of {@link DoctorFacts}. */
import type { DoctorFacts } from "./facts.ts";

/**
 * `failure`: physring, or a buffer that was asked for, does not work here. `warning`: something cannot be had that most want.
 * `note`: worth knowing.
 */
export type CheckStatus = "ok" | "note" | "warning" | "failure";

export interface Check {
  /** Stable, for programs: `module.loaded`. */
  readonly id: string;
  readonly status: CheckStatus;
  /** One sentence: what is so. */
  readonly text: string;
  /** Lines to type or to put into a file; empty where nothing has to be done. */
  readonly fix: readonly string[];
}

export type CheckGroup = (facts: DoctorFacts) => Check[];

export function ok(id: string, text: string): Check {
  return { id, status: "ok", text, fix: [] };
}

export function finding(id: string, status: CheckStatus, text: string, ...fix: string[]): Check {
  return { id, status, text, fix };
}
