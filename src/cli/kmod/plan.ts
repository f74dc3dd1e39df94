/** What `install` and `uninstall` do, as a list that can be printed before it is done. */
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { commandLine, findCommand, runCommand } from "../system/commands.ts";
import { KmodError } from "./errors.ts";

export type Step =
  | { readonly do: "write"; readonly path: string; readonly content: string; readonly why: string }
  | { readonly do: "copy"; readonly path: string; readonly from: string; readonly why: string }
  | {
      readonly do: "copy-directory";
      readonly path: string;
      readonly from: string;
      readonly why: string;
      readonly filter: (path: string) => boolean;
    }
  | { readonly do: "remove"; readonly path: string; readonly why: string }
  | {
      readonly do: "run";
      readonly command: readonly string[];
      readonly why: string;
      readonly optional?: boolean;
    };

export function stepText(step: Step): string {
  switch (step.do) {
    case "write":
      return `write ${step.path}   (${step.why})\n${step.content.trimEnd().replace(/^/gm, "    | ")}`;
    case "copy":
    case "copy-directory":
      return `copy ${step.from} to ${step.path}   (${step.why})`;
    case "remove":
      return `remove ${step.path}   (${step.why})`;
    case "run":
      return `run ${commandLine(step.command)}   (${step.why})`;
  }
}

/** For --json: no functions. */
export function stepJson(step: Step): object {
  return step.do === "copy-directory" ? { ...step, filter: undefined } : step;
}

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/** @throws KmodError `STEP_FAILED`: the steps before it have been done */
export async function runStep(step: Step): Promise<void> {
  try {
    if (step.do === "run") await runStepCommand(step.command, step.optional ?? false);
    else changeFile(step);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof KmodError || code === undefined) throw error;
    const denied = code === "EACCES" || code === "EPERM" ? ": run it as root (sudo), or try --root DIR" : "";
    throw new KmodError("STEP_FAILED", `${stepText(step).split("\n")[0]} failed: ${message}${denied}`, {
      cause: error,
    });
  }
}

function changeFile(step: Exclude<Step, { do: "run" }>): void {
  if (step.do === "remove") {
    rmSync(step.path, { force: true, recursive: true });
    return;
  }
  mkdirSync(dirname(step.path), { recursive: true, mode: DIRECTORY_MODE });
  if (step.do === "write") writeFileSync(step.path, step.content, { mode: FILE_MODE });
  else if (step.do === "copy") {
    copyFileSync(step.from, step.path);
    chmodSync(step.path, FILE_MODE);
  } else {
    rmSync(step.path, { recursive: true, force: true });
    cpSync(step.from, step.path, { recursive: true, filter: step.filter });
  }
}

async function runStepCommand(command: readonly string[], optional: boolean): Promise<void> {
  if (optional && findCommand(command[0]!) === null) return;
  const { code, output } = await runCommand(command);
  if (code === 0 || optional) return;
  throw new KmodError("STEP_FAILED", `${commandLine(command)} failed (exit code ${code}): ${output.trim()}`);
}
