/** Bun, the C library and what the two get from the kernel. */
import { bytes } from "../format.ts";
import { type Check, type CheckGroup, finding, ok } from "./check.ts";
import type { DoctorFacts, SharedMemory } from "./facts.ts";
import { PROBES } from "./probe-bun.ts";

/** The newest symbol version that Bun 1.4.5's binaries ask for: 2.17 on both architectures (objdump -T). */
const LEAST_GLIBC = [2, 17] as const;

type ProbeKey = keyof typeof PROBES;

const CONSEQUENCES: Readonly<
  Record<ProbeKey, { readonly status: "failure" | "warning"; readonly fix: readonly string[] }>
> = {
  ffi: {
    status: "failure",
    fix: [
      "physring needs glibc (not musl), and bun:ffi needs the JIT: unset BUN_JSC_useJIT",
      "the JIT needs some 4 GB of address space, though no memory: ulimit -v unlimited",
      "the version that physring is tested with: npm install bun@1.4.5",
    ],
  },
  mapping: {
    status: "failure",
    fix: ["ulimit -v unlimited", "the version that physring is tested with: npm install bun@1.4.5"],
  },
  futex: { status: "failure", fix: ["allow the system call futex in this container's seccomp profile"] },
  membarrier: {
    status: "warning",
    fix: [
      "without it sleepers look again by timer: allow membarrier in the seccomp profile, or use a kernel with CONFIG_MEMBARRIER=y",
    ],
  },
  unnamedFile: {
    status: "failure",
    fix: ["the directory of regions must be a tmpfs: sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm"],
  },
  locks: {
    status: "failure",
    fix: ["allow fcntl with F_OFD_SETLK; emulations of Linux (gVisor, WSL 1) lack it: use a real kernel"],
  },
  deaths: {
    status: "warning",
    fix: [
      "without them event loops look for deaths every 50 ms: raise fs.inotify.max_user_instances (sudo sysctl fs.inotify.max_user_instances=1024)",
    ],
  },
  sockets: { status: "failure", fix: ["the version that physring is tested with: npm install bun@1.4.5"] },
};

function probeChecks({ probes }: DoctorFacts): Check[] {
  const keys = Object.keys(PROBES) as ProbeKey[];
  return keys.flatMap((key) => {
    const seen = probes.find(({ name }) => name === PROBES[key]);
    if (seen === undefined) return [];
    const id = `bun.${key}`;
    if (seen.ok) return [ok(id, `${seen.name}: ${seen.detail}`)];
    const { status, fix } = CONSEQUENCES[key];
    return [finding(id, status, `${seen.name} does not work: ${seen.detail}`, ...fix)];
  });
}

function glibcCheck({ glibc }: DoctorFacts): Check {
  const least = LEAST_GLIBC.join(".");
  if (glibc === null)
    return finding("bun.glibc", "warning", "the C library does not say its version; physring needs glibc");
  const [major = 0, minor = 0] = glibc.split(".").map(Number);
  const isOld = major < LEAST_GLIBC[0] || (major === LEAST_GLIBC[0] && minor < LEAST_GLIBC[1]);
  if (isOld)
    return finding(
      "bun.glibc",
      "failure",
      `glibc ${glibc} is older than ${least}`,
      "use a newer root file system, or the C peer (include/physring.h)",
    );
  return ok("bun.glibc", `glibc ${glibc} (Bun needs ${least})`);
}

/** What Docker gives: little enough to run out of. */
const SMALL_SHM_BYTES = 64 * 2 ** 20;
const LEAST_FREE_BYTES = 16 * 2 ** 20;

function shmCheck(shm: SharedMemory | null): Check {
  const id = "shm.size";
  if (shm === null)
    return finding(
      id,
      "failure",
      "there is no /dev/shm",
      "sudo mkdir -p /dev/shm && sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
    );
  const { path, sizeBytes, freeBytes, isTmpfs } = shm;
  const size = `${path} has ${bytes(sizeBytes)}, ${bytes(freeBytes)} free`;
  if (!isTmpfs)
    return finding(
      id,
      "warning",
      `${path} is not in memory (no tmpfs): slow, and written to a disk`,
      `sudo mount -t tmpfs -o mode=1777 tmpfs ${path}`,
    );
  if (freeBytes < LEAST_FREE_BYTES)
    return finding(
      id,
      "failure",
      `${size}: too little for a region`,
      `sudo mount -o remount,size=50% ${path}`,
      "physring ls shows what is there",
    );
  if (sizeBytes <= SMALL_SHM_BYTES)
    return finding(
      id,
      "warning",
      `${size}: small regions only`,
      "docker run --shm-size=1g ...",
      `elsewhere: sudo mount -o remount,size=50% ${path}`,
    );
  return ok(id, size);
}

export const checkBun: CheckGroup = (facts) => [
  ok("bun.version", `Bun ${facts.bun} on ${facts.architecture}`),
  glibcCheck(facts),
  ...probeChecks(facts),
  shmCheck(facts.shm),
];
