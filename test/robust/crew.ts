/** Processes of a robustness run: started, watched through the board and their output, ended for certain. */
import { readFileSync } from "node:fs";
import type { Subprocess } from "bun";
import { lines } from "../support/lines.ts";
import { RUNNER_VARIABLE } from "../support/orphan.ts";
import { Patience } from "../support/patience.ts";
import type { ActorOptions } from "./actor-roles.ts";
import { type Board, Fault, Word } from "./board.ts";

const ACTOR = new URL("./actor.ts", import.meta.url).pathname;
const POLL_MS = 1;

export class Member {
  readonly options: ActorOptions;
  readonly #process: Subprocess<"ignore", "pipe", "pipe">;
  readonly #board: Board;
  readonly #crew: Crew;
  readonly #output: Promise<void>;
  #errorText = "";
  #ready = false;
  /** Somebody meant it to die. */
  doomed = false;
  /** A stop may still come: the countdown runs in the process. */
  #mayStop = false;

  constructor(crew: Crew, board: Board, options: ActorOptions) {
    this.options = options;
    this.#crew = crew;
    this.#board = board;
    board.clear(options.slot);
    this.#process = Bun.spawn([process.execPath, ACTOR, JSON.stringify(options)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: {
        ...process.env,
        PHYSRING_NAME: `${options.role}-${options.incarnation}`,
        [RUNNER_VARIABLE]: String(process.pid),
      },
    });
    this.#output = Promise.all([this.#readLines(), this.#readErrors()]).then(() => undefined);
  }

  async #readLines(): Promise<void> {
    for await (const line of lines(this.#process.stdout)) this.#readLine(line);
  }

  #readLine(line: string): void {
    const message = JSON.parse(line) as { ready?: string; fault?: string; errors?: Record<string, number> };
    if (message.ready !== undefined) this.#ready = true;
    if (message.fault !== undefined) this.#crew.fault(`${this.name}: ${message.fault}`);
    for (const [code, count] of Object.entries(message.errors ?? {})) {
      this.#crew.errorCodes[code] = (this.#crew.errorCodes[code] ?? 0) + count;
    }
  }

  async #readErrors(): Promise<void> {
    for await (const chunk of this.#process.stderr) this.#errorText += new TextDecoder().decode(chunk);
  }

  get name(): string {
    return `${this.options.part ?? this.options.role} ${this.options.incarnation}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get gone(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  get frames(): number {
    return this.#board.get(this.options.slot, Word.frames);
  }

  get beats(): number {
    return this.#board.get(this.options.slot, Word.beat);
  }

  get typedErrors(): number {
    return this.#board.get(this.options.slot, Word.typedErrors);
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** Stopped by SIGSTOP, says the kernel. */
  get isStopped(): boolean {
    try {
      const status = readFileSync(`/proc/${this.pid}/stat`, "utf8");
      return status.slice(status.lastIndexOf(")") + 2).startsWith("T");
    } catch {
      return false;
    }
  }

  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    if (signal === "SIGKILL") this.doomed = true;
    if (!this.gone) this.#process.kill(signal);
  }

  /**
   * It signals itself after so many protocol steps; with `extra`, so many steps after so many compare-and-swaps: what is
   * half done is mostly half done behind one of them.
   */
  arm(steps: number, fault: number, extra = 0): void {
    if (fault === Fault.kill) this.doomed = true;
    else this.#mayStop = true;
    this.#board.set(this.options.slot, Word.armedFault, fault);
    this.#board.set(this.options.slot, Word.armedExtra, extra);
    this.#board.set(this.options.slot, Word.armedSteps, steps);
  }

  /** A countdown that the process has begun goes on: see {@link continueIfStopped}. */
  disarm(): void {
    if (this.#board.take(this.options.slot, Word.armedSteps) !== 0) this.#mayStop = false;
  }

  continueIfStopped(): void {
    if (!this.#mayStop || !this.isStopped) return;
    this.#mayStop = false;
    this.signal("SIGCONT");
  }

  pause(on: boolean): void {
    this.#board.set(this.options.slot, Word.pause, on ? 1 : 0);
  }

  askToStop(): void {
    this.#board.set(this.options.slot, Word.stop, 1);
  }

  /** Waits for its end and says how it came. */
  async ended(): Promise<string> {
    await this.#process.exited;
    await this.#output;
    const { signalCode, exitCode } = this.#process;
    if (signalCode !== null) return String(signalCode);
    return exitCode === 0 ? "0" : `${exitCode}: ${this.#errorText.slice(-1500)}`;
  }
}

/** All processes of a run. Disposed: all of them are dead. */
export class Crew implements AsyncDisposable {
  readonly board: Board;
  readonly faults: string[] = [];
  readonly errorCodes: Record<string, number> = {};
  #members: Member[] = [];
  readonly #freeSlots = new Set<number>(Array.from({ length: 64 }, (_, i) => i));

  constructor(board: Board) {
    this.board = board;
  }

  fault(what: string): void {
    this.faults.push(what);
  }

  start(options: Omit<ActorOptions, "slot" | "board">): Member {
    const [slot] = this.#freeSlots;
    this.#freeSlots.delete(slot!);
    const member = new Member(this, this.board, { ...options, slot: slot!, board: this.board.region.name });
    this.#members.push(member);
    return member;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** Takes a member off the list after its end, which must have been a death on purpose or a good one. */
  async bury(member: Member): Promise<void> {
    const end = await member.ended();
    if (end !== "0" && !(member.doomed && end === "SIGKILL")) this.fault(`${member.name} ended with ${end}`);
    this.#members = this.#members.filter((other) => other !== member);
    this.#freeSlots.add(member.options.slot);
  }

  /** Waits for `condition`; false and a fault when it does not come true, or somebody dies who should not. */
  async until(what: string, limitMs: number, condition: () => boolean): Promise<boolean> {
    const patience = new Patience(limitMs);
    for (;;) {
      for (const member of this.#members) member.continueIfStopped();
      if (condition()) return true;
      const casualty = this.#members.find((member) => member.gone && !member.doomed);
      if (casualty !== undefined) {
        await this.bury(casualty);
        return false;
      }
      if (patience.isOver) {
        this.fault(`${what}: not within ${limitMs} ms`);
        return false;
      }
      await Bun.sleep(POLL_MS);
    }
  }

  /** Everybody finishes and leaves in good order. */
  async dismiss(limitMs: number): Promise<void> {
    for (const member of this.#members) {
      member.disarm();
      member.signal("SIGCONT");
      member.askToStop();
    }
    const patience = new Patience(limitMs);
    while (this.#members.some((member) => !member.gone)) {
      for (const member of this.#members) member.continueIfStopped();
      if (patience.isOver) {
        for (const member of this.#members) if (!member.gone) this.fault(`${member.name} does not stop`);
        break;
      }
      await Bun.sleep(POLL_MS);
    }
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of [...this.#members]) {
      if (!member.gone) member.signal("SIGKILL");
      await this.bury(member);
    }
  }
}
