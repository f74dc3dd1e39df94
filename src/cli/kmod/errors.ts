import { PhysringError } from "../../ffi/errors.ts";

export type KmodErrorCode =
  | "TREE_UNUSABLE"
  | "BUILD_FAILED"
  | "MODULE_MISSING"
  | "MODULE_LOADED"
  | "MODULE_NOT_LOADED"
  | "MODULE_IN_USE"
  | "LOAD_FAILED"
  | "NOT_ROOT"
  | "STEP_FAILED";

/** Something about the kernel module did not work; the message says what to do. */
export class KmodError extends PhysringError {
  declare readonly code: KmodErrorCode;

  constructor(code: KmodErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** Something that stands in the way, and the commands that clear it. */
export interface Problem {
  /** Stable, for programs: `no-module-symvers`. */
  readonly id: string;
  /** A warning does not stop the build. */
  readonly severity: "error" | "warning";
  readonly what: string;
  /** Commands, or a sentence where there is no command. */
  readonly fix: readonly string[];
}

export function problemText({ severity, what, fix }: Problem): string {
  return `${severity === "warning" ? "warning: " : ""}${what}\n${fix.map((line) => `    ${line}`).join("\n")}`;
}
