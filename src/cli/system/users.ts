/** Which processes have a device open or mapped. */
import type { SystemFiles } from "./files.ts";

export interface DeviceUser {
  readonly pid: number;
  readonly name: string;
  readonly paths: readonly string[];
}

/** Of other users' processes only root sees anything: absence proves nothing to others. */
export function deviceUsers(files: SystemFiles, isWanted: (path: string) => boolean): DeviceUser[] {
  const users: DeviceUser[] = [];
  for (const entry of files.list("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const paths = new Set<string>();
    for (const fd of files.list(`/proc/${entry}/fd`)) {
      const target = files.link(`/proc/${entry}/fd/${fd}`);
      if (target !== null && isWanted(target)) paths.add(target);
    }
    for (const line of (files.text(`/proc/${entry}/maps`) ?? "").split("\n")) {
      const path = line.slice(line.indexOf("/"));
      if (line.includes(" /dev/") && isWanted(path)) paths.add(path);
    }
    if (paths.size > 0)
      users.push({
        pid: Number(entry),
        name: files.line(`/proc/${entry}/comm`) ?? "?",
        paths: [...paths].sort(),
      });
  }
  return users;
}
