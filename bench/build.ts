/** Compiles the native peers once for each state of their sources. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";

const SOURCES = `${import.meta.dir}/c`;
const FLAGS = ["-O3", "-march=native", "-Wall"];
const PROGRAMS = ["probe", "oneway", "roundtrip", "frames", "records"];
const HEADERS = `${import.meta.dir}/../include`;

/** Where the programs are, or why one is missing. */
export interface Binaries {
  /** @throws Error with the remedy when the program could not be built */
  require(program: string): string;
  missing(program: string): string | null;
  readonly compiler: string;
  readonly flags: string;
}

function firstCompiler(candidates: readonly (string | undefined)[]): string | null {
  for (const candidate of candidates) {
    const path = candidate === undefined ? null : Bun.which(candidate);
    if (path !== null) return path;
  }
  return null;
}

/** The kernel's word for the processor: -march=native binaries are good for this one only. */
function processorKey(): string {
  return /model name.*|CPU part.*/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? process.arch;
}

function sourcesKey(extra: readonly string[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const directory of [SOURCES, HEADERS])
    for (const file of readdirSync(directory).sort()) hash.update(readFileSync(`${directory}/${file}`));
  return hash
    .update([processorKey(), ...FLAGS, ...extra].join("\n"))
    .digest("hex")
    .slice(0, 16);
}

/** Compiles to a private name and renames: two benchmarks may build at once. */
function compile(command: readonly string[], output: string): string | null {
  if (existsSync(output)) return null;
  const draft = `${output}.${process.pid}`;
  const result = Bun.spawnSync([...command, "-o", draft], { stderr: "pipe" });
  if (result.exitCode !== 0) return result.stderr.toString();
  renameSync(draft, output);
  return null;
}

function versionOf(compiler: string | null): string {
  if (compiler === null) return "none";
  return Bun.spawnSync([compiler, "--version"]).stdout.toString().split("\n")[0]!;
}

/** @param capacity slots of the boost queue, which fixes them when it is compiled */
export function buildBinaries(capacity: number, log: (line: string) => void): Binaries {
  const cc = firstCompiler([Bun.env["CC"], "gcc", "clang", "cc"]);
  const cxx = firstCompiler([Bun.env["CXX"], "g++", "clang++", "c++"]);
  const directory = `${tmpdir()}/physring-bench-${process.getuid?.() ?? 0}-${sourcesKey([cc ?? "", cxx ?? "", String(capacity)])}`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const missing = new Map<string, string>();
  for (const program of PROGRAMS) {
    const problem =
      cc === null
        ? "skipped: install with `apt-get install gcc libc6-dev`"
        : compile([cc, ...FLAGS, `${SOURCES}/${program}.c`], `${directory}/${program}`);
    if (problem !== null) missing.set(program, problem);
  }
  const dpdk = Bun.spawnSync(["pkg-config", "--cflags", "--libs", "libdpdk"]);
  const dpdkFlags = dpdk.success ? dpdk.stdout.toString().trim().split(/\s+/) : [];
  for (const program of ["queue", "rte"]) {
    const needsDpdk = program === "rte";
    const source = `${SOURCES}/${program}.c`;
    const problem =
      cc === null || (needsDpdk && dpdkFlags.length === 0)
        ? `skipped: install with \`apt-get install ${needsDpdk ? "libdpdk-dev pkg-config" : "gcc libc6-dev"}\``
        : compile([cc, source, ...(needsDpdk ? dpdkFlags : []), ...FLAGS], `${directory}/${program}`);
    if (problem !== null) missing.set(program, problem);
  }
  const boostProblem =
    cxx === null
      ? "no C++ compiler"
      : compile(
          [cxx, ...FLAGS, `-DBOOST_CAPACITY=${capacity}`, `${SOURCES}/boost.cpp`],
          `${directory}/boost`,
        );
  if (boostProblem !== null) {
    missing.set("boost", "skipped: install with `apt-get install g++ libboost-dev`");
    log(`boost peer: ${boostProblem.split("\n")[0]}`);
  }
  return {
    require: (program) => {
      const problem = missing.get(program);
      if (problem !== undefined) throw new Error(problem);
      return `${directory}/${program}`;
    },
    missing: (program) => missing.get(program) ?? null,
    compiler: versionOf(cc),
    flags: FLAGS.join(" "),
  };
}
