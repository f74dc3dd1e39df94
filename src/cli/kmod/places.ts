/** Where the module's source, builds and installed files are. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { SystemFiles } from "../system/files.ts";

export const MODULE_NAME = "u-dma-buf";
/** In /sys/module and /proc/modules. */
export const LOADED_NAME = "u_dma_buf";
export const MODULE_FILE = `${MODULE_NAME}.ko`;

/** The driver's source, part of the package. */
export const SOURCE_DIRECTORY = resolve(import.meta.dir, "../../../kmod");

export function runningRelease(): string {
  return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
}

/** Where `build` leaves the module for a kernel unless told otherwise. */
export function buildDirectory(release: string): string {
  const cache = process.env["XDG_CACHE_HOME"] || `${homedir()}/.cache`;
  return `${cache}/physring/kmod/${release}`;
}

/** The module built for a kernel, or null. */
export function builtModule(release: string): string | null {
  const path = `${buildDirectory(release)}/${MODULE_FILE}`;
  return existsSync(path) ? path : null;
}

/** depmod looks into `updates` before the kernel's own directories, so ours wins over an in-tree driver of the same name. */
export function installedModulePath(release: string): string {
  return `/lib/modules/${release}/updates/${MODULE_FILE}`;
}

/** DKMS and some distributions compress. */
const ENDINGS = ["", ".xz", ".zst", ".gz"];

/** The installed module of a kernel, by `install`, or by DKMS; null: none. */
export function installedModule(files: SystemFiles, release: string): string | null {
  const places = [installedModulePath(release), `/lib/modules/${release}/updates/dkms/${MODULE_FILE}`];
  const paths = places.flatMap((path) => ENDINGS.map((ending) => `${path}${ending}`));
  return paths.find((path) => files.exists(path)) ?? null;
}
