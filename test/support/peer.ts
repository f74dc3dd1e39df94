/** Other processes and threads for tests, and what the kernel says about ours. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { lines } from "./lines.ts";

const PEER = new URL("../unit/fixtures/peer.ts", import.meta.url).pathname;

/** A process that runs one command of fixtures/peer.ts, said `ready`, and goes on until its stdin is closed. */
export class Peer implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  private constructor(args: readonly string[]) {
    this.#process = Bun.spawn([process.execPath, PEER, ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = lines(this.#process.stdout);
  }

  static async start(...args: readonly string[]): Promise<Peer> {
    const peer = new Peer(args);
    const first = await peer.nextLine();
    if (first !== "ready") throw new Error(`the peer said ${JSON.stringify(first)} instead of ready`);
    return peer;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The next line it prints; empty at the end. */
  async nextLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done ? "" : value;
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#process.exited;
  }
}

/** Open descriptors of files and devices; pipes, sockets and the like belong to Bun and come and go. */
export function openDescriptors(): number {
  const ofFiles = readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/");
    } catch {
      // The one that listed the directory is closed by now.
      return false;
    }
  });
  return ofFiles.length;
}

/**
 * Lines of /proc/self/maps that show the file at `path`, by inode as well as by name: a file that got its name after it was
 * mapped is listed without it.
 */
export function mapsOf(path: string): string[] {
  const inode = existsSync(path) ? statSync(path).ino : -1;
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => line.includes(path) || Number(line.split(/\s+/)[4]) === inode);
}
