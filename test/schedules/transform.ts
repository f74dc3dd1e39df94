/**
 * Makes coroutines of the shipped ring sources: every function that touches a shared word, directly or through another, becomes a
 * generator that yields before each access. Only src/memory/atomics.ts is swapped; nothing else of the code changes.
 *
 * The sources are matched by name: a function is *switching* if its body calls something switching, and a call is rewritten to
 * `(yield* …)` if the name it calls is switching. That is enough for src/ring, whose method names are distinct, and
 * it fails loudly where it is not (a generator that is not delegated to returns an object where a number is expected).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type AnyNode,
  type CallExpression,
  type FunctionDeclaration,
  type FunctionExpression,
  type Program,
  parse,
} from "acorn";
import { ancestor, full } from "acorn-walk";
import MagicString from "magic-string";

const ROOT = join(import.meta.dir, "../..");

/** What src/memory/atomics.ts exports, each one shared access. */
export const ACCESSES = [
  "loadAcquire",
  "loadHint",
  "confirmHint",
  "loadAfterFence",
  "storeRelease",
  "storePlain",
  "publish",
  "compareAndSwap",
  "fetchAnd",
  "fetchOr",
  "exchange",
  "fence",
  "fenceLoads",
  "pause",
  "sleepersFence",
  "fenceStores",
  // System calls, see kernel.ts.
  "futexWait",
  "futexWake",
  "sendByteTo",
] as const;

/** Modules to transform; what else they import is imported as it is. */
const SOURCES = [
  "src/ring/owner.ts",
  "src/ring/pool.ts",
  "src/ring/drop-oldest.ts",
  "src/ring/eviction.ts",
  "src/ring/lane-slot.ts",
  "src/ring/history-keeper.ts",
  "src/ring/history-taker.ts",
  "src/ring/channel-geometry.ts",
  "src/ring/recovery.ts",
  "src/ring/counters.ts",
  "src/ring/stalled-lanes.ts",
  "src/ring/lane-sender.ts",
  "src/ring/lane-receiver.ts",
  "src/ring/spsc.ts",
  "src/ring/copy.ts",
  "src/ring/sleepers.ts",
  "src/ring/shared-head.ts",
  "src/ring/queue-ends.ts",
  "src/ring/queue-geometry.ts",
  "src/ring/queue-receiver.ts",
  "src/ring/queue-stall.ts",
  "src/ring/queue-producer.ts",
  "src/ring/queue-consumer.ts",
  "src/ring/queue-taker.ts",
  "src/ring/record-writer.ts",
  "src/ring/record-reader.ts",
  "src/ring/record-ends.ts",
  "src/ring/service-message.ts",
  "src/ring/service-caller.ts",
  "src/ring/service-desks.ts",
  "src/ring/cell-geometry.ts",
  "src/ring/cell-writer.ts",
  "src/ring/cell-reader.ts",
];

/** With them `ring` is no longer one step: where doorbells are not what is explored a stand-in does. */
const DOORBELL_SOURCES = ["src/ring/doorbell-ringer.ts", "src/ring/sleeper.ts"];

/** A single-line change of a source, to prove that the schedules catch it. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

interface Source {
  readonly path: string;
  readonly code: string;
  readonly program: Program;
}

function calledName(call: CallExpression): string | null {
  const { callee } = call;
  if (callee.type === "Identifier") return callee.name;
  if (callee.type !== "MemberExpression" || callee.computed) return null;
  return callee.property.type === "PrivateIdentifier" || callee.property.type === "Identifier"
    ? callee.property.name
    : null;
}

function read(path: string, mutation: Mutation | null): Source {
  let text = readFileSync(join(ROOT, path), "utf8");
  if (mutation?.file === path) {
    if (text.split(mutation.from).length !== 2)
      throw new Error(`${path}: "${mutation.from}" is not there exactly once`);
    text = text.replace(mutation.from, mutation.to);
  }
  const code = new Bun.Transpiler({ loader: "ts", deadCodeElimination: false }).transformSync(text);
  return { path, code, program: parse(code, { ecmaVersion: "latest", sourceType: "module" }) };
}

interface NamedFunction {
  readonly name: string;
  readonly body: AnyNode;
  /** Where a star makes a generator of it. */
  readonly star: number;
}

function nameOf(key: AnyNode | null): string | null {
  return key?.type === "Identifier" || key?.type === "PrivateIdentifier" ? key.name : null;
}

/** Named functions and methods of a module. */
function namedFunctions(source: Source): NamedFunction[] {
  const found: NamedFunction[] = [];
  full(source.program, (node) => {
    const n = node as AnyNode;
    if (n.type === "FunctionDeclaration" && n.id !== null) {
      found.push({ name: n.id.name, body: n.body, star: n.start + "function".length });
    }
    const name = n.type === "MethodDefinition" && n.kind === "method" ? nameOf(n.key) : null;
    if (n.type === "MethodDefinition" && name !== null)
      found.push({ name, body: n.value.body, star: n.key.start });
  });
  return found;
}

function switchingNames(sources: readonly Source[]): Set<string> {
  const names = new Set<string>(ACCESSES);
  for (let before = -1; before !== names.size; ) {
    before = names.size;
    for (const source of sources) {
      for (const { name, body } of namedFunctions(source)) {
        full(body, (node) => {
          if (node.type === "CallExpression" && names.has(calledName(node as CallExpression) ?? ""))
            names.add(name);
        });
      }
    }
  }
  return names;
}

type Place = "generator" | "constructor" | "reporting getter";

/** Where a call stands. A closure cannot yield: the sources must not touch shared words there. */
function placeOf(
  source: Source,
  call: CallExpression,
  ancestors: readonly AnyNode[],
  names: ReadonlySet<string>,
): Place {
  const depth = ancestors.findLastIndex((node) => node.type.includes("Function"));
  const owner = ancestors[depth] as FunctionDeclaration | FunctionExpression | undefined;
  const method = ancestors[depth - 1];
  if (method?.type === "MethodDefinition" && method.kind === "constructor") return "constructor";
  if (method?.type === "MethodDefinition" && method.kind === "get") return "reporting getter";
  // [Symbol.dispose]: schedules call the named method behind it.
  if (method?.type === "MethodDefinition" && method.computed) return "reporting getter";
  const name = nameOf(method?.type === "MethodDefinition" ? method.key : (owner?.id ?? null));
  if (name !== null && names.has(name)) return "generator";
  throw new Error(`${source.path}: ${source.code.slice(call.start, call.end)} is in no named function`);
}

function transform(
  source: Source,
  names: ReadonlySet<string>,
  outputOf: (specifier: string) => string,
): string {
  const text = new MagicString(source.code);
  for (const { name, star } of namedFunctions(source)) if (names.has(name)) text.appendLeft(star, "*");
  ancestor(source.program, {
    CallExpression(node, _state, ancestors) {
      const call = node as CallExpression;
      const name = calledName(call) ?? "";
      if (!names.has(name)) return;
      const isAccess = call.callee.type === "Identifier" && (ACCESSES as readonly string[]).includes(name);
      if (isAccess) text.appendLeft(call.callee.end, ".now");
      if (placeOf(source, call, ancestors as AnyNode[], names) !== "generator") return; // one indivisible step
      text.appendLeft(call.start, isAccess ? "(yield, " : "(yield* ");
      text.appendRight(call.end, ")");
    },
  });
  full(source.program, (node) => {
    const n = node as AnyNode;
    if (n.type === "ImportDeclaration") {
      text.overwrite(n.source.start, n.source.end, JSON.stringify(outputOf(String(n.source.value))));
    }
  });
  return text.toString();
}

export interface Build {
  readonly mutation: Mutation | null;
  readonly doorbells: boolean;
}

/** Transforms the sources (with one mutation, if given) into `directory` and returns the path of each module there by its base name. */
export function buildCoroutines(directory: string, { mutation, doorbells }: Build): Map<string, string> {
  mkdirSync(directory, { recursive: true });
  const paths = doorbells ? [...SOURCES, ...DOORBELL_SOURCES] : SOURCES;
  const sources = paths.map((path) => read(path, mutation));
  if (mutation !== null && !paths.includes(mutation.file))
    throw new Error(`${mutation.file} is not transformed`);
  const names = switchingNames(sources);
  const outputs = new Map(
    sources.map((source) => [
      basename(source.path, ".ts"),
      join(directory, `${basename(source.path, ".ts")}.js`),
    ]),
  );
  const outputOf = (specifier: string): string => {
    const name = basename(specifier, ".ts");
    if (name === "atomics") return join(import.meta.dir, "atomics.ts");
    if (name === "clock" || name === "doorbell" || name === "stall-watch")
      return join(import.meta.dir, "outside.ts");
    if (name === "futex" || name === "sockets") return join(import.meta.dir, "kernel.ts");
    const own = outputs.get(name);
    if (own !== undefined) return own;
    return specifier.startsWith("../")
      ? join(ROOT, "src", specifier.slice(3))
      : join(ROOT, "src/ring", specifier);
  };
  for (const source of sources)
    writeFileSync(outputs.get(basename(source.path, ".ts"))!, transform(source, names, outputOf));
  return outputs;
}
