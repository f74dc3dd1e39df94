/** `physring kmod build`: the module for the running kernel, or for another one with any toolchain. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { resolve } from "node:path";
import { type CommandSpec, helpText, type ParsedOptions, parseOptions, UsageError } from "../options.ts";
import { commandLine, runCommand } from "../system/commands.ts";
import { KmodError, type Problem, problemText } from "./errors.ts";
import {
  type BuildRequest,
  type KernelTree,
  kernelArchitecture,
  makeArguments,
  readKernelTree,
  treeProblems,
} from "./kernel-tree.ts";
import { moduleInfo } from "./modinfo.ts";
import { buildDirectory, MODULE_FILE, runningRelease, SOURCE_DIRECTORY } from "./places.ts";

export const BUILD_COMMAND: CommandSpec = {
  name: "physring kmod build",
  usage: "[OPTIONS]",
  summary: "Builds u-dma-buf.ko. Says first what is missing, with the command that mends it.",
  options: {
    "kernel-src": {
      value: "DIR",
      help: "headers or tree of the kernel (default: those of the running kernel)",
    },
    arch: { value: "ARCH", help: "as the kernel says it: x86, arm64 (default: this machine's)" },
    "cross-compile": {
      value: "PREFIX",
      help: "prefix of the cross tools, e.g. aarch64-linux-gnu- or /opt/tc/bin/aarch64-none-linux-gnu-",
    },
    cc: { value: "COMPILER", help: "compiler in place of PREFIXgcc" },
    "any-compiler": { help: "build although the kernel was built with another compiler" },
    output: {
      value: "DIR",
      help: "where u-dma-buf.ko goes (default: ~/.cache/physring/kmod/RELEASE, where install and load find it)",
    },
    "dry-run": { help: "check everything, print the command, build nothing" },
    json: { help: "print one JSON object instead of text" },
  },
  notes: "Exit code: 0 built, 1 something is in the way or the build failed, 2 wrong arguments.",
};

export interface BuildReport {
  readonly release: string;
  readonly architecture: string;
  readonly kernelSource: string;
  readonly compiler: string;
  readonly command: string;
  /** Null with --dry-run. */
  readonly module: string | null;
  readonly vermagic: string | null;
  readonly warnings: readonly Problem[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "x86",
  aarch64: "arm64",
  x64: "x86",
  amd64: "x86",
};

function requestOf(options: ParsedOptions): BuildRequest {
  const architecture = options.text("arch") ?? process.env["ARCH"] ?? kernelArchitecture(process.arch);
  if (!/^[a-z0-9_]+$/.test(architecture))
    throw new UsageError(`--arch ${architecture}: a name such as arm64 is needed`);
  const source = options.text("kernel-src") ?? process.env["KERNEL_SRC"];
  return {
    kernelSource: source === undefined ? null : resolve(source),
    architecture: ARCHITECTURES[architecture] ?? architecture,
    crossCompile: options.text("cross-compile") ?? process.env["CROSS_COMPILE"] ?? "",
    compiler: options.text("cc") ?? null,
    anyCompiler: options.has("any-compiler"),
  };
}

/** @throws KmodError `TREE_UNUSABLE` with everything that is in the way */
async function usableTree(request: BuildRequest): Promise<{ tree: KernelTree; warnings: Problem[] }> {
  const tree = await readKernelTree(request, runningRelease());
  const problems = treeProblems(tree);
  if (problems.some(({ severity }) => severity === "error")) throw new TreeError(problems);
  return { tree, warnings: problems };
}

class TreeError extends KmodError {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super("TREE_UNUSABLE", `the module cannot be built:\n\n${problems.map(problemText).join("\n\n")}`);
    this.problems = problems;
  }
}

/** Compilers of kernels from 6.x on need some 100 ms for each of our files, so a build may take half a minute on a small board. */
async function make(tree: KernelTree, source: string): Promise<void> {
  const { code, output } = await runCommand(makeCommand(tree, source));
  if (code === 0) return;
  const lines = output.trimEnd().split("\n");
  const faults = lines
    .filter((line) => /error|undefined|No such file|cannot|\*\*\*/i.test(line))
    .slice(0, 12);
  throw new KmodError(
    "BUILD_FAILED",
    `make failed (exit code ${code}):\n\n${(faults.length > 0 ? faults : lines.slice(-12)).join("\n")}${explain(output)}`,
  );
}

function makeCommand(tree: KernelTree, source: string): string[] {
  const jobs = `-j${availableParallelism()}`;
  return [
    "make",
    jobs,
    "-C",
    tree.directory,
    `M=${source}`,
    ...makeArguments(tree),
    "CONFIG_U_DMA_BUF=m",
    "modules",
  ];
}

const EXPLANATIONS: readonly [RegExp, string][] = [
  [
    /modpost: .*undefined!/,
    "A function is not exported by this kernel: is Module.symvers the one of this kernel, and CONFIG_TRIM_UNUSED_KSYMS off?",
  ],
  [
    /unrecognized command-line option|unknown argument/,
    "The compiler does not know an option of the kernel's makefiles: use the compiler that the kernel was built with (--cc).",
  ],
  [
    /Exec format error/,
    "The tree's build tools are programs for another machine: make -C DIR modules_prepare.",
  ],
  [
    /plugin/,
    "The kernel uses compiler plugins: install the plugin headers (Debian: gcc-VERSION-plugin-dev) or use the kernel's own compiler (--cc).",
  ],
  [/No space left/, "The disk is full."],
];

function explain(output: string): string {
  const known = EXPLANATIONS.find(([pattern]) => pattern.test(output));
  return known === undefined ? "" : `\n\n${known[1]}`;
}

/** @throws KmodError */
export async function build(
  request: BuildRequest,
  output: string | null,
  dryRun: boolean,
): Promise<BuildReport> {
  const { tree, warnings } = await usableTree(request);
  const release = tree.release!;
  const report = {
    release,
    architecture: request.architecture,
    kernelSource: tree.directory,
    compiler: tree.compiler.version!,
    command: commandLine(makeCommand(tree, SOURCE_DIRECTORY)),
    warnings,
  };
  if (dryRun) return { ...report, module: null, vermagic: null };
  // In a copy: the package may be read-only, and kbuild leaves files of one kernel beside the source.
  const work = mkdtempSync(`${tmpdir()}/physring-kmod-`);
  try {
    cpSync(SOURCE_DIRECTORY, work, { recursive: true, filter: isSource });
    await make(tree, work);
    const directory = output === null ? buildDirectory(release) : resolve(output);
    mkdirSync(directory, { recursive: true });
    const module = `${directory}/${MODULE_FILE}`;
    copyFileSync(`${work}/${MODULE_FILE}`, module);
    return { ...report, module, vermagic: moduleInfo(readFileSync(module), "vermagic") };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Not what an earlier build in the source directory left. */
export function isSource(path: string): boolean {
  return !/\.(o|ko|cmd|mod|mod\.c|symvers|order)$|\/probed\.h$/.test(path);
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runBuild(args: readonly string[]): Promise<number> {
  const options = parseOptions(BUILD_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(BUILD_COMMAND));
    return 0;
  }
  const json = options.has("json");
  try {
    const report = await build(requestOf(options), options.text("output") ?? null, options.has("dry-run"));
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : text(report));
    return 0;
  } catch (error) {
    if (!json || !(error instanceof TreeError)) throw error;
    process.stdout.write(`${JSON.stringify({ error: error.code, problems: error.problems }, null, 2)}\n`);
    return 1;
  }
}

function text({ release, module, vermagic, warnings, command, compiler }: BuildReport): string {
  const notes = warnings.map((warning) => `${problemText(warning)}\n`).join("");
  if (module === null) return `${notes}would run (in a copy of the source):\n    ${command}\n`;
  const isRunning = release === runningRelease();
  const next = isRunning
    ? `next: sudo physring kmod install --module ${module} udmabuf0=64MiB\n`
    : `next: copy it to the machine with kernel ${release}; there: insmod ${MODULE_FILE} udmabuf0=67108864\n`;
  return `${notes}built ${module}\n  for kernel ${(vermagic ?? release).trim()}, with ${compiler}\n${next}`;
}
