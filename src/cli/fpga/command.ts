/** `physring demo-fpga`: the command line. */
import { type Coherency, Core, SimulatedBoard } from "../../fpga/index.ts";
import { Region } from "../../memory/region.ts";
import { count, nanoseconds, significant } from "../format.ts";
import {
  type CommandSpec,
  helpText,
  oneOf,
  type ParsedOptions,
  parseOptions,
  UsageError,
  wholeNumber,
} from "../options.ts";
import { type DemoPlan, type DemoResult, FpgaDemo, regionBytes } from "./demo.ts";

const DEFAULT_FRAMES = 60;
const DEFAULT_SIZE = "256x128";
const DEFAULT_BATCH = 8;
const COHERENCIES = ["full", "io", "none"] as const satisfies readonly Coherency[];
const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const COMMAND: CommandSpec = {
  name: "physring demo-fpga",
  usage: "[OPTIONS]",
  summary:
    "Frames go from this process through an FPGA core and back in shared memory: a 3x3 filter, a threshold and a CRC-32 for each,\n" +
    "all checked against a software model. Without --core the core is simulated: its RTL, clocked by Verilator, in a process of its own.",
  options: {
    frames: { value: "N", help: `end after N frames (default ${DEFAULT_FRAMES})` },
    size: { value: "WxH", help: `luma pixels of a frame, W a multiple of 64 (default ${DEFAULT_SIZE})` },
    batch: { value: "N", help: `frames per doorbell, 1-32 (default ${DEFAULT_BATCH})` },
    coherency: {
      value: "MODE",
      help: "of the simulated machine: full (default), io: queue memory is weakly ordered, none: payload is behind a cache as\nwell and has to be synced",
    },
    seed: { value: "N", help: "repeats the simulated bus's random stalls (default: random)" },
    core: {
      value: "PATH",
      help: "use this core instead: /dev/uioN, a PCI resource file, or board:NAME; --region says the memory it reaches",
    },
    region: {
      value: "NAME",
      help: "with --core: a region on the core's memory, e.g. /dev/udmabuf0; it is replaced",
    },
    "queue-memory": {
      value: "PATH",
      help: "with --core, where that is not coherent: a second /dev/udmabufN for its queues",
    },
    "install-deps": {
      help: "install what the simulator needs (verilator, g++, make) with apt; else the line to type is printed",
    },
    json: { help: "print one JSON object instead of the summary" },
  },
  notes:
    "Ctrl-C ends the stream, waits for what is under way and prints the summary.\n" +
    "Exit codes: 0 all is well, 1 a frame was wrong or the run failed, 2 wrong usage, 130 Ctrl-C.",
};

function parsePlan(options: ParsedOptions): DemoPlan {
  const text = options.text("size") ?? DEFAULT_SIZE;
  const match = /^(\d{1,5})[xX](\d{1,5})$/.exec(text);
  const [width, height] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (width < 64 || width % 64 !== 0 || height < 1 || width * height > 2 ** 24)
    throw new UsageError(
      `--size ${text}: WIDTHxHEIGHT is needed, e.g. ${DEFAULT_SIZE}; the width a multiple of 64`,
    );
  const number = (name: string, fallback: number, least: number, most: number): number => {
    const value = options.text(name);
    return value === undefined ? fallback : wholeNumber(name, value, least, most);
  };
  return {
    width,
    height,
    frames: number("frames", DEFAULT_FRAMES, 1, 2 ** 31),
    batch: number("batch", DEFAULT_BATCH, 1, 32),
  };
}

/** @returns the exit code. @throws UsageError; errors of the run */
export async function runFpgaDemo(args: readonly string[]): Promise<number> {
  const options = parseOptions(COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(COMMAND));
    return 0;
  }
  const plan = parsePlan(options);
  const coherency = oneOf("coherency", options.text("coherency") ?? "full", COHERENCIES);
  const where = options.text("core");
  for (const other of ["region", "queue-memory"])
    if (options.has(other) && where === undefined) throw new UsageError(`--${other} goes with --core`);
  if (where !== undefined && !options.has("region"))
    throw new UsageError("--core needs --region: the memory that the core reaches");
  const regionName = options.text("region") ?? `demo-fpga-${process.pid}`;
  let signalCode = 0;
  let demo: FpgaDemo | null = null;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      signalCode = code;
      demo?.interrupt();
    });
  }
  const region = Region.create(regionName, where === undefined ? { size: regionBytes(plan) } : {});
  try {
    const seed = options.text("seed");
    await using board =
      where === undefined
        ? await SimulatedBoard.start({
            name: regionName,
            region,
            coherency,
            installDeps: options.has("install-deps"),
            ...(seed === undefined ? {} : { seed: wholeNumber("seed", seed, 0, 2 ** 32 - 1) }),
          })
        : null;
    const queueMemory = options.text("queue-memory");
    using core = Core.open(where ?? board!.where, queueMemory === undefined ? {} : { queueMemory });
    demo = new FpgaDemo(core, region, plan);
    if (signalCode !== 0) demo.interrupt();
    const result = await demo.run();
    // The board checks every handshake of its bus; stop() throws if one was wrong.
    await board?.stop();
    report(result, plan, core, options.has("json"));
    return result.wrong > 0 ? 1 : signalCode;
  } finally {
    region.close();
    Region.destroy(regionName);
  }
}

function report(result: DemoResult, plan: DemoPlan, core: Core, json: boolean): void {
  const machine = core.board === null ? core.registers.path : `simulated, coherency ${core.board.coherency}`;
  if (json) {
    console.log(JSON.stringify({ ok: result.wrong === 0, machine, ...plan, ...result }));
    return;
  }
  const { latencyNs, bus } = result;
  console.log(
    `${count(result.frames)} frames of ${plan.width}x${plan.height} through the core (${machine}): ${
      result.wrong === 0 ? "all as the software model has them" : `${result.wrong} WRONG`
    }`,
  );
  console.log(
    `  commands        ${count(result.commands)} in ${significant(result.seconds)} s: ${count(result.commandsPerSecond)} commands/s`,
  );
  console.log(
    `  latency         p50 ${nanoseconds(latencyNs.p50)}, p99 ${nanoseconds(latencyNs.p99)}, max ${nanoseconds(latencyNs.max)}, submit to completion`,
  );
  console.log(
    `  bus per command ${significant(bus.descriptorFetches)} descriptor fetches, ${significant(bus.readBursts)} payload reads, ` +
      `${significant(bus.writeBursts)} payload writes, ${significant(bus.completionWrites)} completion writes`,
  );
}
