/** Typed errors of the lowest layer. */
import { constants } from "node:os";

/** Base of every error that physring throws on purpose. `code` is stable and meant for programs, the message for people. */
export class PhysringError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** `EAGAIN` and `EWOULDBLOCK` (and `ENOTSUP` and `EOPNOTSUPP`) are one number on Linux: the first name of a number wins. */
const NAMES: ReadonlyMap<number, string> = buildNames();

function buildNames(): Map<number, string> {
  const names = new Map<number, string>([
    [constants.errno.EAGAIN, "EAGAIN"],
    [constants.errno.EOPNOTSUPP, "EOPNOTSUPP"],
  ]);
  for (const [name, number] of Object.entries(constants.errno))
    if (!names.has(number)) names.set(number, name);
  return names;
}

/** What to do about it, where the number alone says so. Callers that know more pass their own. */
const REMEDIES: ReadonlyMap<string, string> = new Map([
  ["EACCES", "check the owner and mode of the file, or run as the user who created it"],
  ["EPERM", "this needs a privilege of the creating user or root"],
  ["EMFILE", "raise the limit of open files (ulimit -n)"],
  ["ENFILE", "the system has no free file handles (sysctl fs.file-max)"],
  ["ENOMEM", "free memory, or ask for less"],
  ["ENOSPC", "make room on the file system, or ask for less"],
]);

export interface SystemErrorDetail {
  readonly path?: string | undefined;
  readonly remedy?: string | undefined;
}

/** A C call failed. `code` is the name of its error number, as in node: `ENOENT`, `EACCES`, … */
export class SystemError extends PhysringError {
  readonly call: string;
  readonly errno: number;
  readonly errnoName: string;
  readonly path: string | undefined;
  readonly remedy: string | undefined;

  constructor(call: string, errno: number, detail: SystemErrorDetail = {}) {
    const errnoName = NAMES.get(errno) ?? `errno ${errno}`;
    const remedy = detail.remedy ?? REMEDIES.get(errnoName);
    const subject = detail.path === undefined ? "" : ` ${detail.path}`;
    super(errnoName, `${call}${subject}: ${errnoName}${remedy === undefined ? "" : ` (${remedy})`}`);
    this.call = call;
    this.errno = errno;
    this.errnoName = errnoName;
    this.path = detail.path;
    this.remedy = remedy;
  }
}
