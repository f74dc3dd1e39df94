/** The parent's handle of one process of a run. */
import type { ChildMessage, ParentMessage, Role } from "./messages.ts";

type Kind = ChildMessage["kind"];
type MessageOf<K extends Kind> = Extract<ChildMessage, { kind: K }>;

const CHILD_PATH = `${import.meta.dir}/child.ts`;
/** The last message of each role; its process ends after it. */
const LAST: ReadonlySet<Kind> = new Set<Kind>(["source", "worker", "sink"]);

interface Waiter {
  readonly match: (message: ChildMessage) => boolean;
  readonly resolve: (message: ChildMessage) => void;
}

export class ChildProcess {
  readonly role: Role;
  /** Number of a worker; 0 for the others. */
  readonly worker: number;
  /** It was killed on purpose. */
  killed = false;
  /** It has sent its last message. */
  finished = false;
  readonly #process: Bun.Subprocess<"inherit" | "ignore", "inherit", "inherit">;
  readonly #onMessage: (message: ChildMessage) => void;
  #waiters: Waiter[] = [];
  /** All messages but the many of progress. */
  readonly #seen: ChildMessage[] = [];

  /** @param onMessage called for every message, first */
  constructor(role: Role, worker: number, inheritStdin: boolean, onMessage: (message: ChildMessage) => void) {
    this.role = role;
    this.worker = worker;
    this.#onMessage = onMessage;
    this.#process = Bun.spawn([process.execPath, CHILD_PATH, role], {
      stdin: inheritStdin ? "inherit" : "ignore",
      stdout: "inherit",
      stderr: "inherit",
      serialization: "json",
      env: { ...process.env, PHYSRING_NAME: role === "worker" ? `demo worker ${worker}` : `demo ${role}` },
      ipc: (message: ChildMessage) => this.#receive(message),
    });
  }

  get label(): string {
    return this.role === "worker" ? `worker ${this.worker}` : this.role;
  }

  get pid(): number {
    return this.#process.pid;
  }

  #receive(message: ChildMessage): void {
    this.#onMessage(message);
    if (LAST.has(message.kind)) {
      this.finished = true;
      this.#process.disconnect();
    }
    if (message.kind !== "progress") this.#seen.push(message);
    const due = this.#waiters.filter((waiter) => waiter.match(message));
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) waiter.resolve(message);
  }

  /** The first message of a kind (about a worker), which may have come already. */
  expect<K extends Kind>(kind: K, worker?: number): Promise<MessageOf<K>> {
    const match = (message: ChildMessage): boolean =>
      message.kind === kind && (worker === undefined || ("worker" in message && message.worker === worker));
    const seen = this.#seen.find(match);
    if (seen !== undefined) return Promise.resolve(seen as MessageOf<K>);
    return new Promise((resolve) =>
      this.#waiters.push({ match, resolve: resolve as (message: ChildMessage) => void }),
    );
  }

  /** It has attached its ends of the channels. */
  get joined(): boolean {
    return this.#seen.some((message) => message.kind === "joined");
  }

  send(message: ParentMessage): void {
    if (this.#process.killed || this.#process.exitCode !== null || this.finished) return;
    this.#process.send(message);
  }

  kill(): void {
    this.killed = true;
    this.#process.kill("SIGKILL");
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Resolves when the process is gone, to how it ended: `exit code 1`, `SIGKILL`. */
  async exited(): Promise<string> {
    await this.#process.exited;
    return String(this.#process.signalCode ?? `exit code ${this.#process.exitCode}`);
  }

  /** CPU time in microseconds, of a process that is gone. */
  get cpuMicroseconds(): number {
    return Number(this.#process.resourceUsage()?.cpuTime.total ?? 0);
  }
}
