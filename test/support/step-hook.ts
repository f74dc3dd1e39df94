/**
 * Hooks every access to shared words: `src/memory/atomics.ts` is the one module that touches them, and this plugin loads it with
 * a call before and after each of its functions. A test can then kill the process, stop it or scribble between any two steps of
 * the protocol. Import this module first and `src/` with `await import()` after {@link setStepHook}.
 */

const HOOK = "__physringStep";
/** `operation` is the name of the function in atomics.ts. */
export type StepHook = (operation: string) => void;
type HookHost = { [HOOK]?: StepHook };
const host = globalThis as unknown as HookHost;

/** Called before and after every protocol step of this thread from now on. */
export function setStepHook(hook: StepHook): void {
  host[HOOK] = hook;
}

/** `export function f(a: T, b: U): R {…}` becomes `function f$(…)` and an exported f that calls the hook around it. */
function instrument(source: string): string {
  const wrappers: string[] = [];
  const body = source.replace(
    /^export function (\w+)\(([^)]*)\)(: [^{]+)\{/gm,
    (_match, name: string, parameters: string, result: string) => {
      const names = parameters
        .split(",")
        .map((parameter) => parameter.split(":")[0]!.trim())
        .filter((parameter) => parameter !== "")
        .join(", ");
      wrappers.push(
        `export function ${name}(${parameters})${result}{ step("${name}"); const result = ${name}$(${names}); step("${name}"); return result as never; }`,
      );
      return `function ${name}$(${parameters})${result}{`;
    },
  );
  if (wrappers.length < 10) throw new Error(`only ${wrappers.length} functions of atomics.ts were hooked`);
  return `${body}\nconst step = (operation: string): void => (globalThis as any).${HOOK}?.(operation);\n${wrappers.join("\n")}\n`;
}

Bun.plugin({
  name: "physring-step-hook",
  setup(build) {
    build.onLoad({ filter: /src\/memory\/atomics\.ts$/ }, async ({ path }) => ({
      contents: instrument(await Bun.file(path).text()),
      loader: "ts",
    }));
  },
});
