/** `physring kmod install` and `uninstall`: the module where modprobe finds it, and the files that set it up at boot. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type CommandSpec, helpText, type ParsedOptions, parseOptions, UsageError } from "../options.ts";
import { findCommand } from "../system/commands.ts";
import { SystemFiles } from "../system/files.ts";
import { BOOT_PATHS, type BootSettings, bootFiles } from "./boot-files.ts";
import { dkmsRemovalSteps, dkmsSteps } from "./dkms.ts";
import { KmodError } from "./errors.ts";
import { moduleRelease } from "./modinfo.ts";
import { parseParameters } from "./parameters.ts";
import { builtModule, installedModulePath, MODULE_NAME, runningRelease } from "./places.ts";
import { runStep, type Step, stepJson, stepText } from "./plan.ts";

const DEFAULT_GROUP = "physring";

export const INSTALL_COMMAND: CommandSpec = {
  name: "physring kmod install",
  usage: "[OPTIONS] [PARAMETER=VALUE...]",
  summary:
    "Puts the module where modprobe finds it, with its parameters, loading at boot, and a udev rule that gives the buffers to a group.",
  options: {
    module: {
      value: "FILE",
      help: "the u-dma-buf.ko (default: what physring kmod build left for the running kernel)",
    },
    dkms: { help: "hand the source to DKMS, which builds it again for every new kernel" },
    group: {
      value: "GROUP",
      help: `group that may open the buffers; made if it is not there (default ${DEFAULT_GROUP})`,
    },
    "no-autoload": { help: "do not load at boot" },
    root: {
      value: "DIR",
      help: "install into the system below DIR (an image for another machine): no groups, no udev reload",
    },
    "dry-run": { help: "print what would be done" },
    json: { help: "print one JSON object instead of text" },
  },
  notes:
    "Parameters as for insmod, with units: udmabuf0=64MiB udmabuf1=4GiB dma_mask_bit=64. They hold for every later load.\n" +
    "Exit code: 0 installed, 1 something failed, 2 wrong arguments.",
  positionals: 32,
};

export const UNINSTALL_COMMAND: CommandSpec = {
  name: "physring kmod uninstall",
  usage: "[OPTIONS]",
  summary: "Takes back what install did, for the running kernel. The group and loaded modules stay.",
  options: {
    dkms: { help: "take it from DKMS" },
    root: INSTALL_COMMAND.options["root"]!,
    release: { value: "RELEASE", help: "kernel whose module file is removed (default: the running one)" },
    "dry-run": { help: "print what would be done" },
    json: { help: "print one JSON object instead of text" },
  },
};

export interface InstallRequest {
  readonly root: string;
  /** Null: with DKMS. */
  readonly module: { readonly path: string; readonly release: string } | null;
  readonly boot: BootSettings;
  readonly groupExists: boolean;
}

/** In the order of doing. What others read (udev rule, parameters) is there before anything can load the module. */
export function installSteps({ root, module, boot, groupExists }: InstallRequest): Step[] {
  const live = root === "";
  const steps: Step[] = [];
  if (live && !groupExists)
    steps.push({ do: "run", command: ["groupadd", "--system", boot.group], why: "the group of the buffers" });
  const wanted = bootFiles(boot);
  for (const file of wanted) steps.push({ do: "write", ...file, path: `${root}${file.path}` });
  for (const path of Object.values(BOOT_PATHS)) {
    const isStale = !wanted.some((file) => file.path === path) && existsSync(`${root}${path}`);
    if (isStale)
      steps.push({ do: "remove", path: `${root}${path}`, why: "of an earlier install with other options" });
  }
  if (module === null) steps.push(...dkmsSteps());
  else {
    const path = `${root}${installedModulePath(module.release)}`;
    steps.push(
      { do: "copy", from: module.path, path, why: "the module" },
      {
        do: "run",
        command: ["depmod", "-a", ...(live ? [] : ["-b", root]), module.release],
        why: "so that modprobe finds it",
      },
    );
  }
  if (live)
    steps.push({
      do: "run",
      command: ["udevadm", "control", "--reload"],
      why: "the rule holds at once",
      optional: true,
    });
  return steps;
}

export function uninstallSteps(root: string, release: string, dkms: boolean): Step[] {
  const live = root === "";
  const steps: Step[] = Object.values(BOOT_PATHS).map((path) => ({
    do: "remove",
    path: `${root}${path}`,
    why: "written by install",
  }));
  if (dkms) steps.push(...dkmsRemovalSteps());
  else {
    steps.push(
      { do: "remove", path: `${root}${installedModulePath(release)}`, why: "the module" },
      {
        do: "run",
        command: ["depmod", "-a", ...(live ? [] : ["-b", root]), release],
        why: "so that modprobe forgets it",
      },
    );
  }
  if (live)
    steps.push({
      do: "run",
      command: ["udevadm", "control", "--reload"],
      why: "the rule is gone",
      optional: true,
    });
  return steps;
}

function groupExists(group: string): boolean {
  return new RegExp(`^${group}:`, "m").test(new SystemFiles().text("/etc/group") ?? "");
}

/** @throws KmodError `MODULE_MISSING` */
function chosenModule(named: string | undefined): { path: string; release: string } {
  const running = runningRelease();
  const path = named === undefined ? builtModule(running) : resolve(named);
  if (path === null) {
    throw new KmodError(
      "MODULE_MISSING",
      `there is no u-dma-buf.ko for kernel ${running}: physring kmod build makes it; with sudo, whose home is another one, name it: sudo physring kmod install --module FILE`,
    );
  }
  if (!existsSync(path)) throw new KmodError("MODULE_MISSING", `--module ${path}: there is no such file`);
  const release = moduleRelease(readFileSync(path));
  if (release === null)
    throw new KmodError(
      "MODULE_MISSING",
      `--module ${path} is no kernel module: build it with physring kmod build`,
    );
  return { path, release };
}

function rootOf(options: ParsedOptions): string {
  const root = options.text("root");
  if (root === undefined) return "";
  const path = resolve(root);
  if (!existsSync(path)) throw new UsageError(`--root ${root}: there is no such directory`);
  return path === "/" ? "" : path;
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runInstall(args: readonly string[]): Promise<number> {
  const options = parseOptions(INSTALL_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(INSTALL_COMMAND));
    return 0;
  }
  const group = options.text("group") ?? DEFAULT_GROUP;
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(group))
    throw new UsageError(`--group ${group}: this is no name of a group`);
  const root = rootOf(options);
  const dkms = options.has("dkms");
  if (dkms && (root !== "" || options.has("module")))
    throw new UsageError("--dkms builds on and for this machine: it goes with neither --root nor --module");
  const parameters = parseParameters(INSTALL_COMMAND.name, options.positionals);
  const request: InstallRequest = {
    root,
    module: dkms ? null : chosenModule(options.text("module")),
    boot: { group, parameters: parameters.words, autoload: !options.has("no-autoload") },
    groupExists: groupExists(group),
  };
  const steps = installSteps(request);
  const user = process.env["SUDO_USER"] ?? "$USER";
  const next =
    root === ""
      ? `next: sudo usermod -a -G ${group} ${user} (then log in again); sudo physring kmod load\n`
      : "";
  return carryOut(steps, options, `installed\n${next}`);
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runUninstall(args: readonly string[]): Promise<number> {
  const options = parseOptions(UNINSTALL_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(UNINSTALL_COMMAND));
    return 0;
  }
  const release = options.text("release") ?? runningRelease();
  if (!/^[\w.+~-]+$/.test(release) || release.startsWith("."))
    throw new UsageError(`--release ${release}: this is no kernel release (uname -r)`);
  return carryOut(uninstallSteps(rootOf(options), release, options.has("dkms")), options, "uninstalled\n");
}

async function carryOut(steps: readonly Step[], options: ParsedOptions, end: string): Promise<number> {
  const dryRun = options.has("dry-run");
  if (!dryRun) {
    checkRoot(steps, rootOf(options));
    for (const step of steps) await runStep(step);
  }
  if (options.has("json"))
    process.stdout.write(`${JSON.stringify({ done: !dryRun, steps: steps.map(stepJson) }, null, 2)}\n`);
  else process.stdout.write(`${steps.map((step) => stepText(step)).join("\n")}\n${dryRun ? "" : end}`);
  return 0;
}

/** Before the first step rather than half way. @throws KmodError */
function checkRoot(steps: readonly Step[], root: string): void {
  if (root === "" && process.getuid?.() !== 0)
    throw new KmodError(
      "NOT_ROOT",
      `installing ${MODULE_NAME} into this system is root's work: use sudo, or see it with --dry-run`,
    );
  for (const step of steps) {
    if (step.do !== "run" || step.optional || findCommand(step.command[0]!) !== null) continue;
    throw new KmodError(
      "STEP_FAILED",
      `${step.command[0]} is not installed: on Debian, sudo apt-get install ${step.command[0] === "dkms" ? "dkms" : step.command[0] === "groupadd" ? "passwd" : "kmod"}`,
    );
  }
}
