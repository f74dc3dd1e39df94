/** The module as a DKMS package: its source in /usr/src, kmod/dkms.conf says how it is built. */
import { existsSync, readFileSync } from "node:fs";
import { isSource } from "./build.ts";
import { MODULE_NAME, SOURCE_DIRECTORY } from "./places.ts";
import type { Step } from "./plan.ts";

/** What kmod/dkms.conf calls this version; a test holds it equal to the package's. */
export function dkmsVersion(): string {
  const text = readFileSync(`${SOURCE_DIRECTORY}/dkms.conf`, "utf8");
  return /^PACKAGE_VERSION="([^"]+)"/m.exec(text)![1]!;
}

function sourcePath(version: string): string {
  return `/usr/src/${MODULE_NAME}-${version}`;
}

function isKnown(version: string): boolean {
  return existsSync(`/var/lib/dkms/${MODULE_NAME}/${version}`);
}

export function dkmsSteps(): Step[] {
  const version = dkmsVersion();
  const name = `${MODULE_NAME}/${version}`;
  const steps: Step[] = [];
  // The same version again: DKMS would keep what it has.
  if (isKnown(version))
    steps.push({ do: "run", command: ["dkms", "remove", name, "--all"], why: "of an earlier install" });
  steps.push(
    {
      do: "copy-directory",
      from: SOURCE_DIRECTORY,
      path: sourcePath(version),
      why: "the source, for every kernel to come",
      filter: isSource,
    },
    { do: "run", command: ["dkms", "add", name], why: "DKMS knows it" },
    { do: "run", command: ["dkms", "install", name], why: "built and installed for the running kernel" },
  );
  return steps;
}

export function dkmsRemovalSteps(): Step[] {
  const version = dkmsVersion();
  const steps: Step[] = [];
  if (isKnown(version))
    steps.push({
      do: "run",
      command: ["dkms", "remove", `${MODULE_NAME}/${version}`, "--all"],
      why: "from every kernel",
    });
  steps.push({ do: "remove", path: sourcePath(version), why: "the source" });
  return steps;
}
