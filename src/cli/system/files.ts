/**
 * Reading of /proc, /sys, /boot and the like below a root directory, so that tests read recorded trees. What is missing or
 * may not be read is null: the caller decides what that means.
 */
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";

export interface FileMode {
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
}

export class SystemFiles {
  /** Without a slash at its end; "" is the running system. */
  readonly root: string;

  constructor(root = "") {
    this.root = root;
  }

  path(path: string): string {
    return `${this.root}${path}`;
  }

  exists(path: string): boolean {
    return existsSync(this.path(path));
  }

  isDirectory(path: string): boolean {
    return statSync(this.path(path), { throwIfNoEntry: false })?.isDirectory() ?? false;
  }

  bytes(path: string): Uint8Array | null {
    return quietly(() => readFileSync(this.path(path)));
  }

  text(path: string): string | null {
    return quietly(() => readFileSync(this.path(path), "utf8"));
  }

  /** Without white space at the ends and the NUL of the device tree. */
  line(path: string): string | null {
    return this.text(path)?.replace(/\0+$/, "").trim() ?? null;
  }

  number(path: string): number | null {
    const text = this.line(path);
    const value = text === null || text === "" ? Number.NaN : Number(text);
    return Number.isSafeInteger(value) ? value : null;
  }

  /** Names in a directory, sorted; none where there is no such directory. */
  list(path: string): string[] {
    return quietly(() => readdirSync(this.path(path)).sort()) ?? [];
  }

  link(path: string): string | null {
    return quietly(() => readlinkSync(this.path(path)));
  }

  /** The path behind all links, without the root. */
  real(path: string): string | null {
    const real = quietly(() => realpathSync(this.path(path)));
    return real === null ? null : real.startsWith(this.root) ? real.slice(this.root.length) : real;
  }

  mode(path: string): FileMode | null {
    const status = quietly(() => statSync(this.path(path)));
    if (status === null) return null;
    return { mode: status.mode & 0o7777, uid: status.uid, gid: status.gid, sizeBytes: status.size };
  }

  canUse(path: string): boolean {
    return (
      quietly(() => {
        accessSync(this.path(path), constants.R_OK | constants.W_OK);
        return true;
      }) ?? false
    );
  }
}

function quietly<T>(body: () => T): T | null {
  try {
    return body();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}
