/**
 * A directory to build modules against: a distribution's headers, or the tree where a kernel was built. First what is there
 * ({@link readKernelTree}), then what is wrong with it ({@link treeProblems}, no file is touched).
 */
import { findCommand, runCommand } from "../system/commands.ts";
import { type Distribution, installCommand, readDistribution, type Tool } from "../system/distribution.ts";
import { SystemFiles } from "../system/files.ts";
import { type KernelConfig, parseKernelConfig } from "../system/kernel-config.ts";
import type { Problem } from "./errors.ts";

export interface BuildRequest {
  /** Directory of headers or kernel tree; null: the running kernel's. */
  readonly kernelSource: string | null;
  /** As the kernel's makefiles say it: `x86`, `arm64`, `arm`. */
  readonly architecture: string;
  /** Prefix of the cross tools: `aarch64-linux-gnu-`, or empty. */
  readonly crossCompile: string;
  /** Compiler in place of `${crossCompile}gcc`. */
  readonly compiler: string | null;
  /** Accept a compiler that is not the kernel's. */
  readonly anyCompiler: boolean;
}

export interface KernelTree {
  readonly request: BuildRequest;
  readonly directory: string;
  readonly runningRelease: string;
  readonly hostArchitecture: string;
  readonly distribution: Distribution;
  /** Nothing is at `directory` or it is no directory. */
  readonly exists: boolean;
  readonly hasMakefile: boolean;
  readonly config: KernelConfig | null;
  /** `6.1.0-56-amd64`; null: the tree has not been prepared. */
  readonly release: string | null;
  readonly hasSymvers: boolean;
  /** `modpost`, that the tree was built with, and for which machine; null: it is not there. */
  readonly modpostMachine: string | null;
  /** Target of a link `scripts` that leads nowhere: a distribution's headers without its kbuild package. */
  readonly danglingScripts: string | null;
  readonly hasMake: boolean;
  readonly compiler: { readonly command: string; readonly version: string | null };
}

/** e_machine of an ELF file (bytes 18 and 19, elf.h), in the kernel's words. */
const ELF_MACHINES: ReadonlyMap<number, string> = new Map([
  [62, "x86"],
  [183, "arm64"],
  [40, "arm"],
  [243, "riscv"],
]);

export function elfMachine(bytes: Uint8Array | null): string | null {
  if (bytes === null || bytes.byteLength < 20 || bytes[0] !== 0x7f || bytes[1] !== 0x45) return null;
  const number = bytes[18]! | (bytes[19]! << 8);
  return ELF_MACHINES.get(number) ?? `machine ${number}`;
}

/** Node's names to the kernel's. */
export function kernelArchitecture(nodeArchitecture: string): string {
  return nodeArchitecture === "x64" ? "x86" : nodeArchitecture;
}

export function compilerCommand(request: BuildRequest, config: KernelConfig | null): string {
  if (request.compiler !== null) return request.compiler;
  if (config?.options["CC_IS_CLANG"] === "y") return "clang";
  return `${request.crossCompile}gcc`;
}

async function versionOf(command: string): Promise<string | null> {
  if (findCommand(command) === null) return null;
  const { code, output } = await runCommand([command, "--version"]);
  return code === 0 ? output.split("\n")[0]!.trim() : null;
}

/** `"6.1.0-56-amd64"` in include/generated/utsrelease.h; kernel.release of Debian's headers has the version without the flavour. */
function readRelease(files: SystemFiles): string | null {
  const header = files.text("/include/generated/utsrelease.h") ?? "";
  return /UTS_RELEASE "([^"]+)"/.exec(header)?.[1] ?? null;
}

export async function readKernelTree(request: BuildRequest, runningRelease: string): Promise<KernelTree> {
  const directory = request.kernelSource ?? `/lib/modules/${runningRelease}/build`;
  const files = new SystemFiles(directory.replace(/\/+$/, ""));
  const configText = files.text("/.config");
  const config = configText === null ? null : parseKernelConfig(`${directory}/.config`, configText);
  const command = compilerCommand(request, config);
  return {
    request,
    directory,
    runningRelease,
    hostArchitecture: kernelArchitecture(process.arch),
    distribution: readDistribution(new SystemFiles()),
    exists: files.isDirectory(""),
    hasMakefile: files.exists("/Makefile"),
    config,
    release: readRelease(files),
    hasSymvers: files.exists("/Module.symvers"),
    modpostMachine: elfMachine(files.bytes("/scripts/mod/modpost")),
    danglingScripts: files.exists("/scripts") ? null : files.link("/scripts"),
    hasMake: findCommand("make") !== null,
    compiler: { command, version: await versionOf(command) },
  };
}

/** Arguments of `make` that say for what and with what. */
export function makeArguments({ request, config }: Pick<KernelTree, "request" | "config">): string[] {
  const args = [`ARCH=${request.architecture}`];
  if (config?.options["CC_IS_CLANG"] === "y" && request.compiler === null) args.push("LLVM=1");
  if (request.crossCompile !== "") args.push(`CROSS_COMPILE=${request.crossCompile}`);
  if (request.compiler !== null) args.push(`CC=${request.compiler}`);
  return args;
}

function makeIn(tree: KernelTree, goal: string): string {
  return `make -C ${tree.directory} ${makeArguments(tree).join(" ")} ${goal}`;
}

function missingTree(tree: KernelTree): Problem {
  const own = tree.request.kernelSource === null;
  const install = installCommand(tree.distribution, ["headers"], tree.runningRelease);
  return {
    id: "no-kernel-source",
    severity: "error",
    what: own
      ? `the headers of the running kernel (${tree.runningRelease}) are not installed: there is no ${tree.directory}`
      : `--kernel-src ${tree.directory}: there is no such directory`,
    fix: own
      ? [install, "or name the tree that the kernel was built in: physring kmod build --kernel-src DIR"]
      : ["name the directory of the kernel's headers, or the tree that the kernel was built in"],
  };
}

/** What stands in the way; empty: build. Everything that can be told is told at once. */
export function treeProblems(tree: KernelTree): Problem[] {
  const problems = toolProblems(tree);
  if (!tree.exists) return [missingTree(tree), ...problems];
  if (!tree.hasMakefile) {
    const fix = ["name the directory that holds the kernel's top Makefile, .config and Module.symvers"];
    problems.unshift({
      id: "no-makefile",
      severity: "error",
      what: `${tree.directory} is no kernel tree: it has no Makefile`,
      fix,
    });
    return problems;
  }
  problems.push(...preparationProblems(tree));
  if (tree.config !== null)
    problems.push(...configProblems(tree, tree.config), ...compilerProblems(tree, tree.config));
  return problems;
}

function toolProblems(tree: KernelTree): Problem[] {
  const missing: Problem[] = [];
  const add = (id: string, what: string, fix: string[]) => missing.push({ id, severity: "error", what, fix });
  const { distribution, compiler, request } = tree;
  if (!tree.hasMake) add("no-make", "make is not installed", [installCommand(distribution, ["make"])]);
  if (compiler.version === null) {
    const tool = crossTool(request.crossCompile);
    const fix =
      request.compiler !== null || tool === null
        ? `is its directory in PATH? export PATH=/path/to/toolchain/bin:$PATH, or give the whole path (${request.compiler === null ? "--cross-compile" : "--cc"})`
        : installCommand(distribution, [tool]);
    add("no-compiler", `the compiler ${compiler.command} is not installed, or not in PATH`, [fix]);
  }
  if (
    request.architecture !== tree.hostArchitecture &&
    request.crossCompile === "" &&
    request.compiler === null
  ) {
    const prefix = CROSS_PREFIXES[request.architecture] ?? "PREFIX-";
    add(
      "no-cross-compile",
      `--arch ${request.architecture} on this ${tree.hostArchitecture} machine needs the prefix of a cross compiler`,
      [`--cross-compile ${prefix}`],
    );
  }
  return missing;
}

const CROSS_PREFIXES: Readonly<Record<string, string>> = {
  arm64: "aarch64-linux-gnu-",
  arm: "arm-linux-gnueabihf-",
  x86: "x86_64-linux-gnu-",
};

/** The package that has this compiler; null: none that we know. */
function crossTool(prefix: string): Tool | null {
  if (prefix === "") return "gcc";
  if (prefix === "aarch64-linux-gnu-") return "cross-arm64";
  return prefix === "x86_64-linux-gnu-" ? "cross-x86" : null;
}

function preparationProblems(tree: KernelTree): Problem[] {
  const found: Problem[] = [];
  const { directory, config, release, modpostMachine, request } = tree;
  const add = (id: string, what: string, ...fix: string[]) =>
    found.push({ id, severity: "error", what, fix });
  if (config === null) {
    add(
      "no-config",
      `${directory} is not configured: it has no .config`,
      `on the target: zcat /proc/config.gz > config    then here: cp config ${directory}/.config`,
      makeIn(tree, "olddefconfig"),
    );
    return found;
  }
  if (config.architecture !== null && config.architecture !== request.architecture) {
    const cross = CROSS_PREFIXES[config.architecture] ?? "PREFIX-";
    const prefix = config.architecture === tree.hostArchitecture ? "" : ` --cross-compile ${cross}`;
    add(
      "other-architecture",
      `${directory} is configured for ${config.architecture}, not for ${request.architecture}`,
      `physring kmod build --kernel-src ${directory} --arch ${config.architecture}${prefix}`,
    );
    return found;
  }
  if (tree.danglingScripts !== null) {
    const kbuild = /linux-kbuild-[^/]+/.exec(tree.danglingScripts)?.[0];
    const fix =
      kbuild === undefined ? "install the package that it belongs to" : `sudo apt-get install ${kbuild}`;
    add("no-scripts", `${directory}/scripts is a link to ${tree.danglingScripts}, which is not there`, fix);
  } else if (release === null || modpostMachine === null) {
    const what = release === null ? "include/generated/utsrelease.h" : "scripts/mod/modpost";
    add(
      "not-prepared",
      `${directory} is not prepared for modules: it has no ${what}`,
      makeIn(tree, "modules_prepare"),
    );
  } else if (modpostMachine !== tree.hostArchitecture) {
    add(
      "foreign-tools",
      `the build tools in ${directory}/scripts are programs for ${modpostMachine}, and this machine is ${tree.hostArchitecture}: headers packaged for building on the target`,
      `in a full kernel tree: ${makeIn(tree, "modules_prepare")}`,
      "with a distribution's headers: point the link scripts at those of the same kernel's package for this machine (Debian: linux-kbuild-VERSION)",
    );
  }
  if (!tree.hasSymvers) {
    add(
      "no-module-symvers",
      `${directory} has no Module.symvers: the names and versions of what the kernel exports are not known`,
      `build the kernel there once: ${makeIn(tree, "-j$(nproc) vmlinux modules")}`,
      "or copy Module.symvers from where the running kernel was built",
    );
  }
  return found;
}

/** Options without which the module does not build or load. */
const REQUIRED_OPTIONS = ["MODULES", "MMU", "HAS_DMA", "CONTIG_ALLOC"] as const;

function configProblems(tree: KernelTree, config: KernelConfig): Problem[] {
  const found: Problem[] = [];
  const { directory } = tree;
  for (const option of REQUIRED_OPTIONS) {
    if (config.options[option] === "y") continue;
    // Not to be set itself: it follows from CMA, or from migration for huge pages.
    const set = option === "CONTIG_ALLOC" ? "-e COMPACTION -e MIGRATION -e CMA -e DMA_CMA" : `-e ${option}`;
    found.push({
      id: `option-${option.toLowerCase()}`,
      severity: "error",
      what: `this kernel is built without CONFIG_${option}, which the module needs`,
      fix: [
        `${directory}/scripts/config --file ${directory}/.config ${set}`,
        `${makeIn(tree, "olddefconfig")} && build and boot that kernel: ${makeIn(tree, "-j$(nproc)")}`,
      ],
    });
  }
  if (config.options["TRIM_UNUSED_KSYMS"] === "y") {
    found.push({
      id: "option-trim_unused_ksyms",
      severity: "warning",
      what: "this kernel drops exports that no module of its own uses (CONFIG_TRIM_UNUSED_KSYMS): loading may fail with Unknown symbol",
      fix: [
        `${directory}/scripts/config --file ${directory}/.config -d TRIM_UNUSED_KSYMS`,
        makeIn(tree, "olddefconfig"),
      ],
    });
  }
  if (config.options["MODULE_SIG_FORCE"] === "y") {
    found.push({
      id: "option-module_sig_force",
      severity: "warning",
      what: "this kernel loads signed modules only (CONFIG_MODULE_SIG_FORCE): sign u-dma-buf.ko before it is installed",
      fix: [`${directory}/scripts/sign-file sha256 KEY.priv KEY.der u-dma-buf.ko`],
    });
  }
  return found;
}

interface CompilerVersion {
  readonly kind: "gcc" | "clang" | "other";
  readonly major: number;
  readonly minor: number;
}

/** From the first line of `--version`: `gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0`, `Debian clang version 14.0.6`. */
export function parseCompilerVersion(text: string): CompilerVersion {
  const clang = /clang version (\d+)\.(\d+)/.exec(text);
  if (clang !== null) return { kind: "clang", major: Number(clang[1]), minor: Number(clang[2]) };
  // The version proper follows the parenthesis, which has the packager's own.
  const gcc = /^[^\s(]*(?:gcc|cc)\b[^\s(]*\s*(?:\(.*\))?\s*(\d+)\.(\d+)/.exec(text);
  if (gcc !== null) return { kind: "gcc", major: Number(gcc[1]), minor: Number(gcc[2]) };
  return { kind: "other", major: 0, minor: 0 };
}

function compilerProblems(tree: KernelTree, config: KernelConfig): Problem[] {
  const kernel = config.options["CC_VERSION_TEXT"];
  const ours = tree.compiler.version;
  if (kernel === undefined || ours === null) return [];
  const wanted = parseCompilerVersion(kernel);
  const have = parseCompilerVersion(ours);
  if (have.kind === wanted.kind && have.major === wanted.major && have.minor === wanted.minor) return [];
  // An older compiler lacks options that the kernel's makefiles pass; another kind knows other ones.
  const harmful = have.kind !== wanted.kind || have.major < wanted.major;
  const severity = harmful && !tree.request.anyCompiler ? "error" : "warning";
  const command =
    wanted.kind === "clang" ? `clang-${wanted.major}` : `${tree.request.crossCompile}gcc-${wanted.major}`;
  const fix = [`use the kernel's own: physring kmod build --cc ${command}`];
  if (tree.distribution.family === "debian")
    fix.push(`it may be had with: sudo apt-get install ${debianCompiler(tree, wanted)}`);
  if (severity === "error") fix.push("build with this one all the same: --any-compiler");
  return [
    {
      id: "other-compiler",
      severity,
      what: `the kernel was built with "${kernel}" and ${tree.compiler.command} is "${ours}"${harmful ? "" : "; a newer one usually works"}`,
      fix,
    },
  ];
}

function debianCompiler(tree: KernelTree, wanted: CompilerVersion): string {
  if (wanted.kind === "clang") return `clang-${wanted.major} lld-${wanted.major}`;
  const suffix = tree.request.crossCompile.replace(/-$/, "").replaceAll("_", "-");
  return suffix === "" ? `gcc-${wanted.major}` : `gcc-${wanted.major}-${suffix}`;
}
