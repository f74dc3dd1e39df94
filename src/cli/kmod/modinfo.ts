/** What a .ko says about itself: the NUL-separated `key=value` texts of its section .modinfo (include/linux/moduleparam.h). */

/** One key of it; null when it is not there. The keys looked for occur nowhere else in the file with a NUL before them. */
export function moduleInfo(module: Uint8Array, key: string): string | null {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const wanted = `${key}=`;
  // The first text of the section has no NUL of its own before it, but padding or the section before ends in one.
  const at = bytes.indexOf(`\0${wanted}`, 0, "latin1");
  if (at < 0) return null;
  const start = at + 1 + wanted.length;
  return bytes.toString("latin1", start, bytes.indexOf(0, start));
}

/** The kernel release that a module was built for: the first word of `vermagic`. */
export function moduleRelease(module: Uint8Array): string | null {
  return moduleInfo(module, "vermagic")?.split(" ")[0] ?? null;
}
