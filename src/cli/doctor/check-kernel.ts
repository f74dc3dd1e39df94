/** The kernel's options and arguments. */
import { bootArgumentFix } from "./boot-fix.ts";
import { type Check, type CheckGroup, finding, ok } from "./check.ts";
import type { DoctorFacts } from "./facts.ts";
import { KERNEL_OPTIONS } from "./kernel-options.ts";

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "n";
}

function optionChecks(facts: DoctorFacts): Check[] {
  const { config, architecture, release } = facts;
  if (config === null) {
    return [
      finding(
        "kernel.config",
        "note",
        `the configuration of kernel ${release} is not to be found`,
        "sudo modprobe configs   (makes /proc/config.gz where the kernel has it)",
        `or copy it from where the kernel was built to /boot/config-${release}`,
      ),
    ];
  }
  const checks = [ok("kernel.config", `kernel ${release}, configuration from ${config.source}`)];
  const here = KERNEL_OPTIONS.filter(
    (option) => option.architecture === undefined || option.architecture === architecture,
  );
  for (const { name, does } of here.filter(({ need }) => need === "needed")) {
    const id = `kernel.option.${name}`;
    // CONTIG_ALLOC is not to be set itself.
    const set = name === "CONTIG_ALLOC" ? "-e COMPACTION -e MIGRATION -e CMA -e DMA_CMA" : `-e ${name}`;
    if (isSet(config.options[name])) checks.push(ok(id, `CONFIG_${name}: ${does}`));
    else
      checks.push(
        finding(
          id,
          "warning",
          `this kernel is built without CONFIG_${name}, which the module needs: ${does}`,
          `in the kernel's tree: scripts/config ${set} && make olddefconfig, then build and boot it`,
        ),
      );
  }
  const hasCma = isSet(config.options["CMA"]);
  const without = here.filter(
    // Details of CMA are no news where there is none.
    ({ name, need }) =>
      need === "useful" && !isSet(config.options[name]) && (hasCma || !/CMA_|_CMA$/.test(name)),
  );
  if (without.length > 0)
    checks.push(
      finding(
        "kernel.options",
        "note",
        `built without ${without.map(({ name }) => name).join(", ")} (docs/KERNEL.md says what each is for)`,
        `what is wanted, in the kernel's tree: scripts/config ${without.map(({ name }) => `-e ${name}`).join(" ")} && make olddefconfig`,
      ),
    );
  const debug = here.filter(({ name, need }) => need === "debug" && isSet(config.options[name]));
  if (debug.length > 0)
    checks.push(
      finding(
        "kernel.debug",
        "note",
        `built with ${debug.map(({ name }) => name).join(", ")}: measured speeds are not those of other kernels`,
      ),
    );
  return checks;
}

/** Words of the command line that are wrong for us. */
function argumentChecks(facts: DoctorFacts): Check[] {
  const words = facts.bootArguments.split(/\s+/);
  const checks: Check[] = [];
  if (words.some((word) => /^swiotlb=(.*,)?force$/.test(word)))
    checks.push(
      finding(
        "kernel.swiotlb",
        "failure",
        "the kernel is started with swiotlb=force: every DMA buffer would be a copy, so the module refuses to load",
        "remove swiotlb=force from the kernel's command line",
      ),
    );
  const cma = words.find((word) => word.startsWith("cma="));
  if (cma !== undefined && facts.config !== null && !isSet(facts.config.options["DMA_CMA"]))
    checks.push(
      finding(
        "kernel.cma-ignored",
        "warning",
        `${cma} is on the kernel's command line, but the kernel is built without CONFIG_DMA_CMA and ignores it`,
        "in the kernel's tree: scripts/config -e CMA -e DMA_CMA && make olddefconfig, then build and boot it",
      ),
    );
  const largest = Math.max(0, ...facts.wantedBytes);
  const randomized =
    facts.architecture === "x64" &&
    isSet(facts.config?.options["RANDOMIZE_BASE"]) &&
    !words.includes("nokaslr");
  if (randomized && largest >= 2 ** 30 && (facts.memory["CmaTotal"] ?? 0) < largest)
    checks.push(
      finding(
        "kernel.kaslr",
        "note",
        "without CMA a buffer of gibibytes must find a gap, and the kernel lies at a random physical address, perhaps in the middle of it",
        ...bootArgumentFix(facts, "nokaslr"),
      ),
    );
  return checks;
}

export const checkKernel: CheckGroup = (facts) => [...optionChecks(facts), ...argumentChecks(facts)];
