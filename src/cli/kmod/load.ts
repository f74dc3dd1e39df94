/** `physring kmod load` and `unload`. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type CommandSpec, helpText, parseOptions } from "../options.ts";
import { commandLine, findCommand, runCommand } from "../system/commands.ts";
import { SystemFiles } from "../system/files.ts";
import { KmodError } from "./errors.ts";
import { parseParameters } from "./parameters.ts";
import { LOADED_NAME, MODULE_NAME } from "./places.ts";
import { type KmodStatus, readStatus, statusText } from "./status.ts";

export const LOAD_COMMAND: CommandSpec = {
  name: "physring kmod load",
  usage: "[OPTIONS] [PARAMETER=VALUE...]",
  summary: "Loads the module and shows its buffers. If it cannot be loaded, says why and what helps.",
  options: {
    module: {
      value: "FILE",
      help: "load this u-dma-buf.ko (default: the installed one, else the one that build left)",
    },
    "dry-run": { help: "print the command" },
    json: { help: "print one JSON object instead of text" },
  },
  notes:
    "Parameters as for insmod, with units: udmabuf0=64MiB udmabuf1=4GiB dma_mask_bit=64 quirk_mmap_mode=5 bind=pci/0000:01:00.0.\n" +
    "Exit code: 0 loaded, 1 not loaded, 2 wrong arguments.",
  positionals: 32,
};

export const UNLOAD_COMMAND: CommandSpec = {
  name: "physring kmod unload",
  usage: "[OPTIONS]",
  summary: "Unloads the module. Names the processes that keep it from being unloaded.",
  options: {
    "dry-run": { help: "print the command" },
    json: { help: "print one JSON object instead of text" },
  },
};

/** What to run. A modprobe that knows the module also adds the options of modprobe.d. */
function loadCommand(named: string | undefined, words: readonly string[], status: KmodStatus): string[] {
  if (named !== undefined) {
    const path = resolve(named);
    if (!existsSync(path))
      throw new KmodError(
        "MODULE_MISSING",
        `--module ${path}: there is no such file; physring kmod build makes one`,
      );
    return ["insmod", path, ...words];
  }
  if (status.installed !== null) return ["modprobe", MODULE_NAME, ...words];
  if (status.built !== null) return ["insmod", status.built, ...words];
  throw new KmodError(
    "MODULE_MISSING",
    `the module is neither built nor installed for kernel ${status.release}: physring kmod build, then sudo physring kmod install (or name a file: --module FILE)`,
  );
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runLoad(args: readonly string[]): Promise<number> {
  const options = parseOptions(LOAD_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(LOAD_COMMAND));
    return 0;
  }
  const { words } = parseParameters(LOAD_COMMAND.name, options.positionals);
  const before = readStatus();
  if (before.module !== null) {
    throw new KmodError(
      "MODULE_LOADED",
      "the module is loaded already; parameters count at load time only: sudo physring kmod unload first, or make one buffer more: echo 'create NAME BYTES' > /dev/u-dma-buf-mgr",
    );
  }
  const command = loadCommand(options.text("module"), words, before);
  if (options.has("dry-run")) {
    process.stdout.write(
      options.has("json") ? `${JSON.stringify({ command })}\n` : `${commandLine(command)}\n`,
    );
    return 0;
  }
  mustBeRoot("loading a module");
  mustHave(command[0]!);
  const log = await moduleLog();
  const { code, output } = await runCommand(command);
  if (code !== 0) throw loadError(command, output, (await moduleLog()).slice(log.length));
  const after = readStatus();
  process.stdout.write(options.has("json") ? `${JSON.stringify(after, null, 2)}\n` : statusText(after));
  return 0;
}

function mustBeRoot(what: string): void {
  if (process.getuid?.() !== 0) throw new KmodError("NOT_ROOT", `${what} is root's work: use sudo`);
}

function mustHave(program: string): void {
  if (findCommand(program) === null)
    throw new KmodError(
      "STEP_FAILED",
      `${program} is not installed: it belongs to the package kmod (sudo apt-get install kmod)`,
    );
}

/** The module's lines in the kernel's log; none where it may not be read. */
async function moduleLog(): Promise<string[]> {
  if (findCommand("dmesg") === null) return [];
  const { code, output } = await runCommand(["dmesg"]);
  return code === 0 ? output.split("\n").filter((line) => /u[-_]dma[-_]buf/.test(line)) : [];
}

/** Words of insmod and modprobe for the error number, and what each means for us. */
const LOAD_FAILURES: readonly [RegExp, string][] = [
  [
    /Function not implemented/i,
    "this kernel is built without modules (CONFIG_MODULES): use another kernel, or build the driver into it (kmod/add-to-tree.sh)",
  ],
  [
    /Invalid module format|Exec format error/i,
    "it was built for another kernel: physring kmod build, then install it again",
  ],
  [
    /Required key not available|Key was rejected/i,
    "this kernel takes signed modules only (Secure Boot): sign it and enrol the key (mokutil --import KEY.der), or use DKMS, which does both",
  ],
  [
    /Operation not permitted/i,
    "the kernel is locked down or modules are disabled: see /sys/kernel/security/lockdown and /proc/sys/kernel/modules_disabled; in a container, load it on the host",
  ],
  [
    /Unknown symbol/i,
    "this kernel lacks something that the module needs; the log names it: is CONFIG_CONTIG_ALLOC set, and was the module built against this very kernel?",
  ],
  [/not found in directory/i, "depmod does not know it: sudo depmod -a"],
  [
    /Cannot allocate memory/i,
    "a buffer cannot be had; physring doctor SIZE... says what is free and what helps",
  ],
  [/Invalid argument|Invalid parameters/i, "a parameter has a value that the module refuses"],
];

function loadError(command: readonly string[], output: string, log: readonly string[]): KmodError {
  const kernel =
    log.length === 0
      ? ""
      : `\nthe kernel says:\n${log.map((line) => `    ${line.replace(/^\[[^\]]*\]\s*/, "")}`).join("\n")}`;
  const known = LOAD_FAILURES.find(([words]) => words.test(output))?.[1];
  return new KmodError(
    "LOAD_FAILED",
    `${commandLine(command)} failed: ${output.trim()}${kernel}${known === undefined ? "" : `\n${known}`}`,
  );
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runUnload(args: readonly string[]): Promise<number> {
  const options = parseOptions(UNLOAD_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(UNLOAD_COMMAND));
    return 0;
  }
  const command = ["rmmod", LOADED_NAME];
  if (options.has("dry-run")) {
    process.stdout.write(
      options.has("json") ? `${JSON.stringify({ command })}\n` : `${commandLine(command)}\n`,
    );
    return 0;
  }
  const { module, users } = readStatus();
  if (module === null)
    throw new KmodError("MODULE_NOT_LOADED", "the module is not loaded: there is nothing to unload");
  if (!new SystemFiles().exists(`/sys/module/${LOADED_NAME}/refcnt`))
    throw new KmodError("MODULE_IN_USE", "the driver is part of this kernel: it cannot be unloaded");
  mustBeRoot("unloading a module");
  mustHave("rmmod");
  const { code, output } = await runCommand(command);
  if (code !== 0) {
    const who = users
      .map(({ pid, name, paths }) => `\n    process ${pid} (${name}) has ${paths.join(", ")}`)
      .join("");
    const hint =
      who === ""
        ? "; nobody has a buffer open, so an exported dma-buf or an eventfd keeps it"
        : `; end these processes, then try again:${who}`;
    throw new KmodError("MODULE_IN_USE", `rmmod failed: ${output.trim()}${hint}`);
  }
  process.stdout.write(options.has("json") ? `${JSON.stringify({ unloaded: true })}\n` : "unloaded\n");
  return 0;
}
