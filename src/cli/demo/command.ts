/** `physring demo`: the command line. */
import { statSync } from "node:fs";
import type { Backend } from "../../memory/names.ts";
import { Policy, type PolicyName } from "../../ring/layout.ts";
import {
  type CommandSpec,
  helpText,
  oneOf,
  type ParsedOptions,
  parseOptions,
  UsageError,
  wholeNumber,
} from "../options.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { DemoSettings, Rate } from "./messages.ts";
import { MAX_WORKERS } from "./plan.ts";
import { complaints, jsonReport, LiveLine, summary, titleLine } from "./report.ts";
import { DemoRun, InterruptedError, type RunOptions, type RunResult } from "./run.ts";

const DEFAULT_FRAMES = 300;
const DEFAULT_SIZE = "1920x1080";
const DEFAULT_CHAOS_MS = 500;
const MAX_DIMENSION = 16_384;
const BACKENDS = ["shm", "memfd", "udmabuf"] as const;
const POLICIES = Object.keys(Policy) as PolicyName[];

export const DEMO_COMMAND: CommandSpec = {
  name: "physring demo",
  usage: "[OPTIONS]",
  summary:
    "Real processes share video frames in place: a source fills them, workers compute a luma histogram and a CRC-32 on\n" +
    "them, a sink checks that each arrived once, in order and intact. No frame is copied between processes.",
  options: {
    input: {
      value: "FILE",
      help: "read a Y4M stream from FILE, or from stdin with -: ffmpeg -i clip.mp4 -f yuv4mpegpipe - | physring demo --input -\nWithout: frames are generated.",
    },
    frames: { value: "N", help: `end after N frames (default: ${DEFAULT_FRAMES}, or all of the input)` },
    size: { value: "WxH", help: `size of generated frames, YUV 4:2:0 (default ${DEFAULT_SIZE})` },
    rate: {
      value: "RATE",
      help: "max, a number of frames per second, or source: as the input's header says\n(default: source with --input, else max)",
    },
    workers: {
      value: "N",
      help: `worker processes, 1-${MAX_WORKERS} (default: 2-4, by the number of cores)`,
    },
    fanout: {
      help: "every worker and the sink see every frame (default: each frame goes to one worker);\na frame that anybody missed counts as dropped",
    },
    policy: {
      value: "POLICY",
      help:
        "when workers are slower than the source: block (default): wait; fail: the send fails, the demo counts that and\n" +
        "tries again after 1 ms; drop-newest, drop-oldest: frames are dropped and counted",
    },
    backend: {
      value: "NAME",
      help: "memory: shm (default), memfd, udmabuf (a DMA buffer, --region says which)",
    },
    region: { value: "NAME", help: "name of the region (default demo-PID; of a device: udmabuf0)" },
    chaos: {
      help: "kill a worker with SIGKILL now and then and start another; frames that die with it count as dropped",
    },
    "chaos-ms": { value: "MS", help: `with --chaos: mean time between kills (default ${DEFAULT_CHAOS_MS})` },
    "corrupt-frame": {
      value: "N",
      help: "self-test: flip one byte of frame N in shared memory while it is on its way; the demo must notice",
    },
    json: { help: "print one JSON object instead of the summary" },
  },
  notes:
    "Ctrl-C ends the stream, lets the frames on their way arrive and prints the summary; a second one ends everything at once.\n" +
    "Exit codes: 0 all is well, 1 something was lost, doubled or corrupted or the run failed, 2 wrong usage, 130 Ctrl-C.",
};

function parseSize(text: string): { width: number; height: number } {
  const match = /^(\d{1,5})[xX](\d{1,5})$/.exec(text);
  const width = Number(match?.[1] ?? 0);
  const height = Number(match?.[2] ?? 0);
  if (width < 2 || height < 2 || width > MAX_DIMENSION || height > MAX_DIMENSION) {
    throw new UsageError(
      `--size ${text}: WIDTHxHEIGHT is needed, e.g. ${DEFAULT_SIZE}, each from 2 to ${MAX_DIMENSION}`,
    );
  }
  return { width, height };
}

function parseRate(text: string | undefined, input: string | null): Rate {
  if (text === undefined) return input === null ? "max" : "source";
  if (text === "source" && input === null)
    throw new UsageError("--rate source needs an --input that declares a rate");
  if (text === "source" || text === "max") return text;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(value > 0))
    throw new UsageError(`--rate ${text}: max, source, or a number of frames per second is needed`);
  return value;
}

function parseInput(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text === "-") {
    if (process.stdin.isTTY)
      throw new UsageError(
        "--input - reads a Y4M stream from a pipe, and stdin is a terminal: ffmpeg … -f yuv4mpegpipe - | physring demo --input -",
      );
    return text;
  }
  try {
    if (statSync(text).isDirectory()) throw new UsageError(`--input ${text}: this is a directory`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--input ${text}: ${(error as Error).message}`);
  }
  return text;
}

function number(options: ParsedOptions, name: string, least: number, most: number): number | null {
  const text = options.text(name);
  return text === undefined ? null : wholeNumber(name, text, least, most);
}

function defaultWorkers(): number {
  return Math.min(4, Math.max(2, navigator.hardwareConcurrency));
}

function parseSettings(options: ParsedOptions): DemoSettings {
  const input = parseInput(options.text("input"));
  if (input !== null && options.has("size"))
    throw new UsageError("--size is for generated frames; the --input says its own");
  const frames = number(options, "frames", 1, 2 ** 32 - 1);
  return {
    input,
    frames: frames ?? (input === null ? DEFAULT_FRAMES : null),
    ...parseSize(options.text("size") ?? DEFAULT_SIZE),
    rate: parseRate(options.text("rate"), input),
    workers: number(options, "workers", 1, MAX_WORKERS) ?? defaultWorkers(),
    fanout: options.has("fanout"),
    policy: oneOf("policy", options.text("policy") ?? "block", POLICIES),
    corruptFrame: number(options, "corrupt-frame", 0, 2 ** 32 - 1),
  };
}

function parseChaos(options: ParsedOptions): number | null {
  const ms = number(options, "chaos-ms", 1, 3_600_000);
  if (ms !== null && !options.has("chaos")) throw new UsageError("--chaos-ms goes with --chaos");
  return options.has("chaos") ? (ms ?? DEFAULT_CHAOS_MS) : null;
}

/** @returns the exit code. @throws UsageError; errors of the run */
export async function runDemo(args: readonly string[]): Promise<number> {
  const options = parseOptions(DEMO_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(DEMO_COMMAND));
    return 0;
  }
  const settings = parseSettings(options);
  const backend: Backend = oneOf("backend", options.text("backend") ?? "shm", BACKENDS);
  const session = new Session(settings, backend, options.has("json"));
  return session.run({
    settings,
    backend,
    regionName: options.text("region") ?? null,
    chaosMs: parseChaos(options),
  });
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** A run with its terminal: signals in, live line and report out. */
class Session {
  readonly #settings: DemoSettings;
  readonly #backend: Backend;
  readonly #json: boolean;
  #live: LiveLine | null = null;
  #signalCode = 0;

  constructor(settings: DemoSettings, backend: Backend, json: boolean) {
    this.#settings = settings;
    this.#backend = backend;
    this.#json = json;
  }

  async run(options: Omit<RunOptions, "onFormat" | "onProgress">): Promise<number> {
    const run = new DemoRun({
      ...options,
      onFormat: (format) => this.#begin(format),
      onProgress: (progress) => this.#live?.show(progress),
    });
    for (const [signal, code] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        this.#signalCode = code;
        run.interrupt();
      });
    }
    try {
      return this.#end(await run.run());
    } catch (error) {
      this.#live?.clear();
      if (!(error instanceof InterruptedError)) throw error;
      process.stderr.write("physring demo: interrupted\n");
      return this.#signalCode || SIGNALS["SIGINT"]!;
    }
  }

  #begin(format: StreamFormat): void {
    if (!this.#json) process.stdout.write(`${titleLine(this.#settings, format, this.#backend)}\n`);
    this.#live = new LiveLine(format, process.stderr);
  }

  #end(result: RunResult): number {
    this.#live?.clear();
    const outcome = {
      ...result,
      settings: this.#settings,
      backend: this.#backend,
      interrupted: this.#signalCode !== 0,
    };
    const wrong = complaints(outcome);
    process.stdout.write(this.#json ? `${JSON.stringify(jsonReport(outcome))}\n` : `${summary(outcome)}\n`);
    if (this.#json) for (const complaint of wrong) process.stderr.write(`physring demo: ${complaint}\n`);
    return wrong.length > 0 ? 1 : this.#signalCode;
  }
}
