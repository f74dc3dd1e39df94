/** The package as it is when npm has put it into somebody else's project. */
import { beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const node = Bun.which("node");

/** A project that has physring, and nothing of ours but that. */
class Project implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "physring-project-"));

  constructor(...packages: string[]) {
    mkdirSync(join(this.path, "node_modules"));
    writeFileSync(join(this.path, "package.json"), '{ "type": "module" }');
    symlinkSync(ROOT, join(this.path, "node_modules/physring"));
    for (const name of packages)
      symlinkSync(join(ROOT, "node_modules", name), join(this.path, "node_modules", name));
  }

  run(command: string[], path = process.env["PATH"]): { code: number; text: string } {
    const done = Bun.spawnSync(command, { cwd: this.path, env: { PATH: path, HOME: this.path } });
    return { code: done.exitCode, text: `${done.stdout}${done.stderr}` };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

beforeAll(() => {
  // npm does this at install.
  const built = Bun.spawnSync(["npm", "run", "--silent", "prepare"], { cwd: ROOT });
  expect(`${built.stdout}${built.stderr}`).toBe("");
});

const PROGRAM = `
import { Channel, type Frame, PhysringError, Region } from "physring";
import { CommandQueue } from "physring/fpga";
using region = Region.create("x", { size: "1MiB" });
using tx = Channel.create(region, "f", { frameBytes: 64 }).producer();
const frame: Frame | null = tx.tryLoan();
const code = (error: unknown): string => (error instanceof PhysringError ? error.code : "");
console.log(frame?.bytes, code(null), CommandQueue);
`;

for (const options of [
  "--module nodenext --target esnext",
  "--module nodenext --target es2022",
  "--module preserve --moduleResolution bundler --target esnext --erasableSyntaxOnly --exactOptionalPropertyTypes --noUncheckedIndexedAccess",
])
  test(`types: tsc --strict ${options}`, () => {
    using project = new Project("bun-types");
    const check = (text: string): { code: number; text: string } => {
      writeFileSync(join(project.path, "program.ts"), text);
      const tsc = join(ROOT, "node_modules/.bin/tsc");
      const general = ["--noEmit", "--strict", "--skipLibCheck", "--types", "bun-types"];
      return project.run([tsc, ...general, ...options.split(" "), "program.ts"]);
    };
    expect(check(PROGRAM)).toEqual({ code: 0, text: "" });
    expect(check(PROGRAM.replace("frameBytes: 64", 'frameBytes: "64"')).text).toContain("TS2322");
  });

test.skipIf(node === null)("the command, started by node as npx does", () => {
  using project = new Project("bun");
  const command = [node!, join(project.path, "node_modules/physring/bin/physring.mjs")];
  expect(project.run([...command, "--help"], "/usr/bin:/bin")).toMatchObject({ code: 0 });
  const wrong = project.run([...command, "nonsense"], "/usr/bin:/bin");
  expect(wrong.code).toBe(2);
  expect(wrong.text).toContain("nonsense");
});

test.skipIf(node === null)("node itself is told what is missing", () => {
  using project = new Project();
  const { code, text } = project.run([node!, "--eval", 'await import("physring")', "--input-type=module"]);
  expect(code).not.toBe(0);
  expect(text).toContain("physring needs Bun");
});
