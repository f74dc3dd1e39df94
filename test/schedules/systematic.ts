/**
 * Every schedule of a small case that departs from the plain one in no more than so many places. The plain one: whoever runs goes on
 * until it ends, sleeps or waits, then the next in turn; stores reach memory at once; loads return the newest value; nobody dies; a
 * scenario does what it does last of its possibilities. Each departure is paid from a budget of its kind. A store that is held back stays so until a fence of its processor, or until its thread goes on after others
 * ran, where it may be held back again. There is no chance in it: a schedule is the list of its departures, and can be replayed.
 */
import type { Director, Thread } from "./director.ts";
import type { Machine, Model, Processor } from "./machine.ts";

/** Departures that are paid for. `switches`: another thread than is due; `memory`: a late store or an early load; `picks`: of a scenario; `stops`: SIGSTOP. */
export interface Bound {
  readonly switches: number;
  readonly memory: number;
  readonly deaths: number;
  readonly picks: number;
  readonly stops: number;
}

type Kind = keyof Bound;

interface Choice {
  /** Number of the question in its schedule. */
  readonly question: number;
  readonly options: number;
  option: number;
}

/** Departures of a schedule: `question=option`, comma-separated. */
export type Script = string;

function parseScript(script: Script): Map<number, number> {
  const pairs = script.split(",").filter((entry) => entry !== "");
  return new Map(pairs.map((pair) => [Number(pair.split("=")[0]), Number(pair.split("=")[1])]));
}

/** Depth first through all schedules within a bound: {@link restart}, run one, {@link advance}. */
export class SystematicDirector implements Director {
  readonly mostSteps = 4000;
  readonly #model: Model;
  readonly #bound: Bound;
  /** Answers that were given, where there was more than one within the bound. */
  readonly #path: Choice[] = [];
  #depth = 0;
  #question = 0;
  #left: { -readonly [kind in Kind]: number };
  #deathsLeft = 0;
  readonly #script: Map<number, number> | null;

  /** @param script the one schedule to run, whatever the bound */
  constructor(model: Model, bound: Bound, script: Script | null = null) {
    this.#model = model;
    this.#bound = bound;
    this.#script = script === null ? null : parseScript(script);
    this.#left = { ...bound };
  }

  restart(): void {
    this.#depth = 0;
    this.#question = 0;
    this.#left = { ...this.#bound };
    this.#deathsLeft = 0;
  }

  /** Goes to the next schedule; false when there is none. */
  advance(): boolean {
    this.#path.length = this.#depth;
    for (let last = this.#path.pop(); last !== undefined; last = this.#path.pop()) {
      if (last.option + 1 >= last.options) continue;
      this.#path.push({ ...last, option: last.option + 1 });
      return true;
    }
    return false;
  }

  get script(): Script {
    const departures = this.#path.slice(0, this.#depth).filter(({ option }) => option > 0);
    return departures.map(({ question, option }) => `${question}=${option}`).join(",");
  }

  /** Answer 0 is free, the others cost one of `kind`. */
  #ask(kind: Kind, options: number): number {
    if (options < 2) return 0;
    const question = this.#question++;
    if (this.#script !== null) return this.#script.get(question) ?? 0;
    if (this.#left[kind] === 0) return 0;
    const option = this.#answer(question, options);
    if (option > 0) this.#left[kind]--;
    return option;
  }

  #answer(question: number, options: number): number {
    const known = this.#path[this.#depth];
    if (known === undefined) this.#path.push({ question, options, option: 0 });
    else if (known.question !== question || known.options !== options)
      throw new Error(`question ${question} was another one before: the case is not deterministic`);
    return this.#path[this.#depth++]!.option;
  }

  slowness(): number {
    return 0;
  }

  pick(limit: number): number {
    const option = this.#ask("picks", limit);
    return option === 0 ? limit - 1 : option - 1;
  }

  allow(deaths: number): void {
    this.#deathsLeft = deaths;
  }

  next(awake: readonly Thread[], due: Thread): Thread {
    const option = this.#ask("switches", awake.length);
    return awake[(awake.indexOf(due) + option) % awake.length]!;
  }

  victim(_threads: readonly Thread[], next: Thread): Thread | null {
    if (next.onDeath === undefined || this.#deathsLeft === 0 || this.#ask("deaths", 2) === 0) return null;
    this.#deathsLeft--;
    return next;
  }

  stops(next: Thread): boolean {
    return next.name.startsWith("consumer") && this.#ask("stops", 2) === 1;
  }

  continues(): boolean {
    return false;
  }

  stored(machine: Machine, processor: Processor): void {
    const { buffer } = processor;
    // In order: it is behind one that is held back.
    if (this.#model === "tso" && buffer.length > 1) return;
    if (this.#ask("memory", 2) === 0) drainThrough(machine, processor, buffer.length - 1);
  }

  resumed(machine: Machine, processor: Processor): void {
    if (this.#ask("memory", 2) === 0) machine.drainAll(processor);
  }

  stepped(): void {}

  loadedEarly(older: number): number {
    return older - this.#ask("memory", older + 1);
  }
}

/** The store at `i` reaches memory, and before it whatever must. */
function drainThrough(machine: Machine, processor: Processor, i: number): void {
  const { buffer } = processor;
  const store = buffer[i]!;
  while (!machine.isDrainable(buffer, buffer.indexOf(store))) {
    machine.drain(processor, store.release ? 0 : buffer.findIndex(({ at }) => at === store.at));
  }
  machine.drain(processor, buffer.indexOf(store));
}

export interface Found {
  /** Schedules that were run. */
  readonly count: number;
  /** The first that broke a promise. */
  readonly broken: { readonly script: Script; readonly error: unknown } | null;
}

/** Runs every schedule within the bound until a promise is broken. @throws Error when there are more than `most` */
export function exhaust(
  run: (director: Director) => unknown,
  model: Model,
  bound: Bound,
  most: number,
): Found {
  const director = new SystematicDirector(model, bound);
  for (let count = 1; ; count++) {
    if (count > most) throw new Error(`more than ${most} schedules`);
    director.restart();
    try {
      run(director);
    } catch (error) {
      return { count, broken: { script: director.script, error } };
    }
    if (!director.advance()) return { count, broken: null };
  }
}
