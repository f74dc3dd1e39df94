/** `physring kmod`: build, install and load the kernel module. */
import { nearest, UsageError } from "../options.ts";

type Run = (args: readonly string[]) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, { readonly summary: string; readonly run: Run }>> = {
  build: {
    summary: "build u-dma-buf.ko for this kernel, or cross-build it for another",
    run: async (args) => (await import("./build.ts")).runBuild(args),
  },
  install: {
    summary: "install the module, its parameters, loading at boot and a udev rule (or a DKMS package)",
    run: async (args) => (await import("./install.ts")).runInstall(args),
  },
  uninstall: {
    summary: "take back what install did",
    run: async (args) => (await import("./install.ts")).runUninstall(args),
  },
  load: {
    summary: "load the module with buffers: udmabuf0=64MiB",
    run: async (args) => (await import("./load.ts")).runLoad(args),
  },
  unload: {
    summary: "unload it, or name who uses it",
    run: async (args) => (await import("./load.ts")).runUnload(args),
  },
  status: {
    summary: "the module and its buffers",
    run: async (args) => (await import("./status.ts")).runStatus(args),
  },
};

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(9)}  ${summary}`);
  return `The kernel module u-dma-buf: physically contiguous memory as /dev/udmabufN.\n\nUsage: physring kmod COMMAND [OPTIONS]\n\nCommands:\n${lines.join("\n")}\n\nphysring kmod COMMAND --help shows the options.\n`;
}

/** @returns the exit code. @throws UsageError, KmodError */
export async function runKmod(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(help());
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command.run(rest);
  const near = nearest(name, Object.keys(COMMANDS));
  throw new UsageError(
    `physring kmod: unknown command ${name}${near === null ? "" : `; did you mean ${near}?`} (see physring kmod --help)`,
  );
}
