/**
 * Kill test over all topologies of parts.ts: real processes, killed (SIGKILL) or stopped (SIGSTOP) at random instants and between
 * random protocol steps. Survivors must go on, successors take over; afterwards nothing is lost beyond what the dead held,
 * nothing came twice, and every end can be taken again.
 *
 *     bun test/robust/kill-parts.ts --kills 200 --seed 1 [--only TEXT] [--json] [--verbose]
 *
 * The kills are shared out over the topologies. How to add a topology: parts.ts. (kill.ts is the test of channels and their pools.)
 */
import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { listParticipants, Participant, Region } from "../../src/index.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Random, seedFrom } from "../support/random.ts";
import { Board } from "./board.ts";
import { Crew, type Member } from "./crew.ts";
import { Ledger } from "./ledger.ts";
import { type Topology, topologies } from "./parts.ts";
import { Violence } from "./violence.ts";

const READY_MS = 20_000;
/** Progress after a death takes a time slice or two (50 ms); the rest is a busy machine. */
const PROGRESS_MS = 15_000;
const LEAVE_MS = 15_000;
const KILLS_PER_SCENARIO = 12;
const WAITS = ["futex", "await", "futex", "spin"] as const;

export interface KillPartsOptions {
  readonly kills: number;
  readonly seed: number;
  readonly only?: string;
  readonly verbose?: boolean;
}

export interface KillPartsResult {
  readonly seed: number;
  readonly scenarios: number;
  readonly kills: number;
  readonly stepKills: number;
  readonly stops: number;
  readonly killsByTopology: Record<string, number>;
  readonly errorCodes: Record<string, number>;
  readonly faults: readonly string[];
  readonly seconds: number;
}

class Scenario {
  readonly #topology: Topology;
  readonly #random: Random;
  readonly #violence: Violence;
  readonly #nextIncarnation: () => number;
  readonly #region: Region;
  readonly #ledger: Ledger;
  readonly crew: Crew;
  readonly kills: Record<string, number> = {};

  constructor(
    topology: Topology,
    random: Random,
    violence: Violence,
    board: Board,
    name: string,
    nextIncarnation: () => number,
  ) {
    this.#topology = topology;
    this.#random = random;
    this.#violence = violence;
    this.#nextIncarnation = nextIncarnation;
    this.crew = new Crew(board);
    this.#region = Region.create(ownRegion(name), { size: "1MiB" });
    this.#ledger = Ledger.create(ownRegion(`${name}-ledger`));
    topology.create(this.#region, random);
  }

  #start(part: string): Member {
    return this.crew.start({
      role: "part",
      topology: this.#topology.name,
      part,
      region: this.#region.name,
      incarnation: this.#nextIncarnation(),
      seed: this.#random.bits(),
      wait: this.#random.pick(WAITS),
      outputs: 0,
      output: 0,
      reconnect: false,
      gapless: false,
      once: false,
      hostile: false,
    });
  }

  /** Returns the number of kills. */
  async play(kills: number): Promise<number> {
    for (const [part, { count }] of Object.entries(this.#topology.parts))
      for (let i = 0; i < count; i++) this.#start(part);
    let done = 0;
    if (!(await this.#allReady()) || !(await this.#goesOn())) return done;
    while (done < kills && this.crew.faults.length === 0) {
      if (this.#random.oneIn(5)) await this.#violence.stopAndContinue(this.#random.pick(this.crew.members));
      else done += await this.#killSome(kills - done);
      if (!(await this.#goesOn())) break;
    }
    return done;
  }

  #allReady(): Promise<boolean> {
    return this.crew.until("everybody attached", READY_MS, () => this.crew.members.every((m) => m.isReady));
  }

  /** One or two die, sometimes while a survivor is stopped, and get successors. */
  async #killSome(most: number): Promise<number> {
    const victims = new Set<Member>();
    const count = most > 1 && this.#random.oneIn(3) ? 2 : 1;
    while (victims.size < count) victims.add(this.#random.pick(this.crew.members));
    const others = this.crew.members.filter((member) => !victims.has(member));
    const bystander = this.#random.oneIn(4) ? this.#random.pick(others) : undefined;
    if (bystander !== undefined) await this.#violence.stop(bystander);
    await Promise.all([...victims].map((victim) => this.#violence.kill(victim)));
    const successors: Member[] = [];
    for (const victim of victims) {
      await this.crew.bury(victim);
      const part = victim.options.part!;
      this.kills[part] = (this.kills[part] ?? 0) + 1;
      successors.push(this.#start(part));
    }
    if (bystander !== undefined) {
      const deadlineMs = performance.now() + this.#random.below(500);
      while (performance.now() < deadlineMs && !successors.every((m) => m.isReady || m.gone))
        await Bun.sleep(1);
      bystander.signal("SIGCONT");
    }
    await this.#allReady();
    return victims.size;
  }

  /** Every member gets on, or of those who share their work, one. */
  async #goesOn(): Promise<boolean> {
    const before = new Map(this.crew.members.map((member) => [member, member.frames]));
    const moved = (member: Member): boolean => member.frames > before.get(member)!;
    const goneOn = await this.crew.until("the survivors go on", PROGRESS_MS, () =>
      Object.entries(this.#topology.parts).every(([name, { together }]) => {
        const members = this.crew.members.filter((member) => member.options.part === name);
        return together ? members.some(moved) : members.every(moved);
      }),
    );
    if (goneOn) return true;
    for (const member of this.crew.members)
      this.crew.fault(
        `${member.name} (${member.options.wait}): ${moved(member) ? "went on" : "stuck"}, ${member.beats} beats`,
      );
    return false;
  }

  async finish(): Promise<void> {
    await this.crew.dismiss(LEAVE_MS);
    if (this.crew.faults.length > 0) return;
    const me = Participant.of(this.#region);
    me.recoverDead();
    for (const { index, phase, alive } of listParticipants(this.#region.control)) {
      const isClean = (phase === 0 || phase === 3) && !alive;
      if (index !== me.index && !isClean)
        this.crew.fault(`participant ${index} is left in phase ${phase}, alive: ${alive}`);
    }
    const { doorbellDirectory } = this.#region.control;
    const sockets = (existsSync(doorbellDirectory) ? readdirSync(doorbellDirectory) : []).filter(
      (file) => !file.startsWith(`${me.index}.`), // our own
    );
    if (sockets.length > 0) this.crew.fault(`${sockets.length} doorbells are left`);
    const { kills } = this;
    for (const fault of await this.#topology.verify({ region: this.#region, ledger: this.#ledger, kills }))
      this.crew.fault(fault);
  }

  async dispose(): Promise<void> {
    await this.crew[Symbol.asyncDispose]();
    const { name } = this.#region;
    this.#ledger[Symbol.dispose]();
    this.#region.close();
    destroyOwned(`${name}-ledger`);
    destroyOwned(name);
  }
}

/** Runs until so many processes were killed, or a fault. */
export async function killPartsTest(options: KillPartsOptions): Promise<KillPartsResult> {
  const startMs = performance.now();
  const random = new Random(options.seed);
  const violence = new Violence(random);
  const killsByTopology: Record<string, number> = {};
  const errorCodes: Record<string, number> = {};
  const faults: string[] = [];
  const chosen = topologies.filter(({ name }) => name.includes(options.only ?? ""));
  const base = `kill-run-${process.pid}-${options.seed}`;
  const board = Board.create(ownRegion(`${base}-parts`));
  let incarnation = 0;
  let kills = 0;
  let scenarios = 0;
  try {
    for (; kills < options.kills && faults.length === 0; scenarios++) {
      const topology = chosen[scenarios % chosen.length]!;
      const rounds = Math.ceil(options.kills / chosen.length);
      const most = Math.min(KILLS_PER_SCENARIO, rounds, options.kills - kills);
      const scenario = new Scenario(topology, random, violence, board, `${base}-${scenarios}`, () => {
        return ++incarnation;
      });
      try {
        const done = await scenario.play(most);
        kills += done;
        killsByTopology[topology.name] = (killsByTopology[topology.name] ?? 0) + done;
        await scenario.finish();
      } finally {
        await scenario.dispose();
      }
      for (const [code, count] of Object.entries(scenario.crew.errorCodes))
        errorCodes[code] = (errorCodes[code] ?? 0) + count;
      for (const fault of scenario.crew.faults)
        faults.push(`scenario ${scenarios}, ${topology.name}: ${fault}`);
      if (options.verbose) console.error(`scenario ${scenarios}: ${topology.name}, ${kills} kills`);
    }
  } finally {
    board[Symbol.dispose]();
    destroyOwned(`${base}-parts`);
  }
  const { stepKills, stops } = violence;
  const seconds = Math.round(performance.now() - startMs) / 1000;
  const { seed } = options;
  return { seed, scenarios, kills, stepKills, stops, killsByTopology, errorCodes, faults, seconds };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      seed: { type: "string" },
      only: { type: "string", default: "" },
      json: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
    },
  });
  const result = await killPartsTest({
    kills: Number(values.kills),
    seed: seedFrom(values.seed),
    only: values.only,
    verbose: values.verbose,
  });
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
