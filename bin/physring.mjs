#!/usr/bin/env node
// The `physring` command for whoever starts it: npx and npm run it with Node.js, and the program needs Bun, of which npm has a package.
import { spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../src/cli/physring.ts", import.meta.url));

/** Bun of the project that physring is installed in, of physring itself, or of the PATH. */
function findBun() {
  for (const place of [join(process.cwd(), "package.json"), program]) {
    try {
      return join(dirname(createRequire(place).resolve("bun/package.json")), "bin", "bun.exe");
    } catch {
      // Not installed there.
    }
  }
  return spawnSync("bun", ["--version"]).status === 0 ? "bun" : null;
}

if (process.versions.bun !== undefined) {
  process.argv[1] = program;
  await import(program);
} else {
  const bun = findBun();
  if (bun === null) {
    console.error("physring runs on Bun, and there is none: npm install bun   (or see https://bun.sh)");
    process.exit(1);
  }
  // Ctrl-C reaches the child by itself; what is sent to us alone is handed on.
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.on("SIGINT", () => {});
  const child = spawn(bun, [program, ...process.argv.slice(2)], { stdio: "inherit" });
  child.on("error", (error) => {
    console.error(`${bun}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}
