/** `physring kmod status`: is the module loaded, and what buffers has it? */
import { type CommandSpec, helpText, parseOptions } from "../options.ts";
import { SystemFiles } from "../system/files.ts";
import { type BufferReport, type ModuleReport, readModule } from "../system/udmabuf.ts";
import { type DeviceUser, deviceUsers } from "../system/users.ts";
import { builtModule, installedModule, runningRelease } from "./places.ts";

export const STATUS_COMMAND: CommandSpec = {
  name: "physring kmod status",
  usage: "[OPTIONS]",
  summary:
    "Shows the module and its buffers: sizes, addresses, kind of memory, coherency and why, who may open them and who has.",
  options: { json: { help: "print one JSON object instead of text" } },
  notes: "Exit code: 0 loaded, 1 not loaded. Processes of other users are seen by root only.",
};

export interface KmodStatus {
  readonly release: string;
  /** Null: not loaded. */
  readonly module: ModuleReport | null;
  /** Files of the module for this kernel. */
  readonly installed: string | null;
  readonly built: string | null;
  readonly users: readonly DeviceUser[];
}

export function readStatus(files = new SystemFiles()): KmodStatus {
  const release = files.line("/proc/sys/kernel/osrelease") ?? runningRelease();
  const module = readModule(files, process.arch);
  const paths = new Set(module?.buffers.map(({ name }) => `/dev/${name}`));
  return {
    release,
    module,
    installed: installedModule(files, release),
    built: builtModule(release),
    users: module === null ? [] : deviceUsers(files, (path) => paths.has(path)),
  };
}

/** @returns the exit code. @throws UsageError */
export function runStatus(args: readonly string[]): number {
  const options = parseOptions(STATUS_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(STATUS_COMMAND));
    return 0;
  }
  const status = readStatus();
  process.stdout.write(options.has("json") ? `${JSON.stringify(status, null, 2)}\n` : statusText(status));
  return status.module === null ? 1 : 0;
}

export function statusText({ release, module, installed, built, users }: KmodStatus): string {
  if (module === null) {
    const next =
      installed !== null
        ? "load it: sudo physring kmod load udmabuf0=64MiB"
        : built !== null
          ? `built (${built}) and not installed: sudo physring kmod install udmabuf0=64MiB`
          : "neither built nor installed for this kernel: physring kmod build";
    return `u-dma-buf is not loaded (kernel ${release})\n${next}\n`;
  }
  const head = `u-dma-buf ${module.version ?? ""} loaded, kernel ${release}, ${module.buffers.length} buffers, ${module.references ?? "?"} references`;
  const lines = [head.replace("  ", " "), ...module.buffers.flatMap(bufferLines)];
  if (module.buffers.length === 0)
    lines.push(
      "no buffers: echo 'create udmabuf0 67108864' > /dev/u-dma-buf-mgr, or load with udmabuf0=64MiB",
    );
  for (const { pid, name, paths } of users) lines.push(`process ${pid} (${name}) has ${paths.join(", ")}`);
  return `${lines.join("\n")}\n`;
}

function bufferLines(buffer: BufferReport): string[] {
  const { node, sizeBytes } = buffer;
  const access =
    node === null
      ? "no node in /dev"
      : `${node.path} mode ${node.mode.toString(8).padStart(4, "0")} of ${node.uid}:${node.gid}`;
  const coherent = buffer.coherent === null ? "unknown" : buffer.coherent ? "yes" : "no";
  return [
    `${buffer.name}  ${sizeBytes === null ? "size unknown" : binaryBytes(sizeBytes)}  ${access}`,
    `  device address ${buffer.deviceAddress ?? "-"}  physical ${buffer.physicalAddress ?? "-"}  for ${buffer.parent ?? "?"}`,
    `  memory ${buffer.memory ?? "?"}  mapping mode ${buffer.mmapMode ?? "?"}  driver ${buffer.driverVersion ?? "?"}`,
    `  coherent: ${coherent}, because ${buffer.coherentBecause}`,
  ];
}

/** `64 MiB` where it is a whole number of them, as the parameters are given, else bytes. */
export function binaryBytes(count: number): string {
  for (const [unit, name] of [
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
  ] as const)
    if (count >= unit && count % unit === 0) return `${count / unit} ${name}`;
  return `${count} bytes`;
}
