/** Which packages a user has to install, in the words of the distribution. */
import type { SystemFiles } from "./files.ts";

export type Tool = "make" | "gcc" | "kmod" | "dkms" | "headers" | "cross-arm64" | "cross-x86";

export interface Distribution {
  /** `debian`, `fedora`, … : what the packages are called like. */
  readonly family: "debian" | "fedora" | "arch" | "unknown";
  readonly name: string;
}

const FAMILIES: readonly [RegExp, Distribution["family"]][] = [
  [/\b(debian|ubuntu|raspbian)\b/, "debian"],
  [/\b(fedora|rhel|centos|amzn)\b/, "fedora"],
  [/\b(arch|archarm)\b/, "arch"],
];

export function readDistribution(files: SystemFiles): Distribution {
  const text = files.text("/etc/os-release") ?? "";
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  const ids = `${field("ID")} ${field("ID_LIKE")}`;
  const family = FAMILIES.find(([words]) => words.test(ids))?.[1] ?? "unknown";
  return { family, name: field("PRETTY_NAME") };
}

type Packages = Readonly<Record<Tool, string>>;

const PACKAGES: Readonly<
  Record<"debian" | "fedora" | "arch", { readonly install: string; readonly packages: Packages }>
> = {
  debian: {
    install: "sudo apt-get install",
    packages: {
      make: "make",
      gcc: "gcc",
      kmod: "kmod",
      dkms: "dkms",
      headers: "linux-headers-RELEASE",
      "cross-arm64": "gcc-aarch64-linux-gnu",
      "cross-x86": "gcc-x86-64-linux-gnu",
    },
  },
  fedora: {
    install: "sudo dnf install",
    packages: {
      make: "make",
      gcc: "gcc",
      kmod: "kmod",
      dkms: "dkms",
      headers: "kernel-devel-RELEASE",
      "cross-arm64": "gcc-aarch64-linux-gnu",
      "cross-x86": "gcc-x86_64-linux-gnu",
    },
  },
  arch: {
    install: "sudo pacman -S",
    packages: {
      make: "make",
      gcc: "gcc",
      kmod: "kmod",
      dkms: "dkms",
      headers: "linux-headers",
      "cross-arm64": "aarch64-linux-gnu-gcc",
      "cross-x86": "gcc",
    },
  },
};

/** The command that installs `tools`; `release` is the kernel that headers are for. */
export function installCommand(
  distribution: Distribution,
  tools: readonly Tool[],
  release = "$(uname -r)",
): string {
  if (distribution.family === "unknown")
    return `install ${tools.join(", ")} with the package manager of this system`;
  const { install, packages } = PACKAGES[distribution.family];
  return `${install} ${tools.map((tool) => packages[tool].replace("RELEASE", release)).join(" ")}`;
}
