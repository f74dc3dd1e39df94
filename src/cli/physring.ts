#!/usr/bin/env bun
/** The `physring` executable. Commands are loaded when they are asked for. */
import { PhysringError } from "../ffi/errors.ts";
import { nearest, UsageError } from "./options.ts";

interface Command {
  readonly summary: string;
  /** Runs with the arguments after the name; returns the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  demo: {
    summary: "real processes share video frames in place; checks and measures everything",
    run: async (args) => (await import("./demo/command.ts")).runDemo(args),
  },
  doctor: {
    summary: "checks kernel, memory, module and Bun, and prints the fix for what is wrong",
    run: async (args) => (await import("./doctor/command.ts")).runDoctor(args),
  },
  kmod: {
    summary: "build, install, load and inspect the kernel module",
    run: async (args) => (await import("./kmod/command.ts")).runKmod(args),
  },
  "demo-fpga": {
    summary:
      "frames through a clocked FPGA core and back, checked against a software model; builds and starts the board",
    run: async (args) => (await import("./fpga/command.ts")).runFpgaDemo(args),
  },
  ls: {
    summary: "regions on this machine: their objects, participants and counters",
    run: async (args) => (await import("./ls.ts")).runLs(args),
  },
  rm: {
    summary: "remove regions that nobody uses any more",
    run: async (args) => (await import("./rm.ts")).runRm(args),
  },
  v2p: {
    summary: "virtual, physical and device address of a byte",
    run: async (args) => (await import("./v2p.ts")).runV2p([...args]),
  },
};

function help(): string {
  const names = Object.keys(COMMANDS);
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name]!.summary}`);
  return (
    "physring: zero-copy shared-memory IPC for Bun\n\nUsage: physring COMMAND [OPTIONS]\n\nCommands:\n" +
    `${lines.join("\n")}\n\nphysring COMMAND --help shows the options of a command, physring --version the version.\n`
  );
}

async function version(): Promise<string> {
  const { default: manifest } = await import("../../package.json");
  return manifest.version;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(help());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-V") {
    process.stdout.write(`${await version()}\n`);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const candidates = name.startsWith("-") ? ["--help", "--version"] : Object.keys(COMMANDS);
    const near = nearest(name, candidates);
    const what = name.startsWith("-") ? "option" : "command";
    throw new UsageError(
      `physring: unknown ${what} ${name}${near === null ? "" : `; did you mean ${near}?`} (see physring --help)`,
    );
  }
  return command.run(rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Error)) throw error;
  const usage = error instanceof UsageError;
  // An error we did not foresee is a bug: say where.
  const unforeseen = !(error instanceof PhysringError) && error.constructor !== Error;
  process.stderr.write(`${usage ? "" : "physring: "}${unforeseen ? error.stack : error.message}\n`);
  process.exitCode = usage ? 2 : 1;
}
