/**
 * Kill test: real processes pass frames on, zero copy, and are killed (SIGKILL) or stopped (SIGSTOP) at random instants and between
 * random protocol steps. Replacements take over. Everything that happens is checked by the actors themselves (actor-roles.ts);
 * after each scenario all blocks must be back, the participants' table clean, and a newcomer able to do everything.
 *
 *     bun test/robust/kill.ts --kills 100 --seed 1 [--json] [--verbose] [--policy drop-oldest] [--role source]
 *
 * The seed fixes scenarios, victims, delays and step counts; what the victims were doing at that moment only the machine knows.
 */
import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  Channel,
  type DeliveryName,
  listParticipants,
  Participant,
  type PolicyName,
  Pool,
  Region,
} from "../../src/index.ts";
import { ObjectKind } from "../../src/memory/layout.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Random, seedFrom } from "../support/random.ts";
import { type ActorOptions, BUILT } from "./actor-roles.ts";
import { Board } from "./board.ts";
import { Crew, type Member } from "./crew.ts";
import { describeState } from "./describe.ts";
import { Violence } from "./violence.ts";

const BLOCK_BYTES = 1024;
const READY_MS = 15_000;
/** Progress after a death takes a time slice or two (50 ms); the rest is a busy machine. */
const PROGRESS_MS = 10_000;
const LEAVE_MS = 10_000;
const KILLS_PER_SCENARIO = 8;

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  readonly verbose?: boolean;
  /** Only scenarios of this policy; mostly victims of this role. */
  readonly policy?: PolicyName | undefined;
  readonly role?: string | undefined;
}

export interface KillResult {
  readonly seed: number;
  readonly scenarios: number;
  readonly kills: number;
  readonly stepKills: number;
  readonly stops: number;
  readonly killsByRole: Record<string, number>;
  readonly frames: number;
  readonly rejected: number;
  readonly errorCodes: Record<string, number>;
  readonly faults: readonly string[];
  readonly seconds: number;
}

interface Shape {
  readonly policy: PolicyName;
  readonly delivery: DeliveryName;
  readonly workers: number;
  readonly outputPolicy: PolicyName;
  readonly laneCapacity: number;
  readonly blocks: number;
  /** Somebody creates and removes objects meanwhile. */
  readonly builder: boolean;
}

const POLICIES: readonly PolicyName[] = ["block", "drop-newest", "drop-oldest", "fail"];
const WAITS = ["futex", "spin", "await"] as const;

/** Scenario `i` of a run: policies and deliveries in turn, the rest by chance. */
function shapeOf(i: number, random: Random): Shape {
  return {
    policy: POLICIES[i % 3]!,
    delivery: Math.floor(i / 3) % 2 === 0 ? "all" : "one",
    workers: 1 + random.below(2),
    outputPolicy: random.pick(POLICIES),
    laneCapacity: random.pick([2, 4, 8]),
    blocks: random.pick([8, 12, 24]),
    builder: random.oneIn(3),
  };
}

class Scenario {
  readonly #run: KillRun;
  readonly #random: Random;
  readonly #violence: Violence;
  readonly #shape: Shape;
  readonly #crew: Crew;
  readonly #region: Region;
  readonly #name: string;
  readonly #pool: Pool;
  readonly #objects: readonly string[];

  constructor(run: KillRun, name: string, shape: Shape, board: Board) {
    this.#run = run;
    this.#random = run.random;
    this.#violence = run.violence;
    this.#shape = shape;
    this.#name = name;
    this.#crew = new Crew(board);
    this.#region = Region.create(ownRegion(name), { size: "2MiB" });
    this.#pool = Pool.create(this.#region, "pool", {
      frameBytes: BLOCK_BYTES,
      blockCount: shape.blocks,
      metaBytes: 0,
    });
    const { laneCapacity } = shape;
    Channel.create(this.#region, "in", {
      pool: this.#pool,
      laneCapacity,
      maxConsumers: shape.workers,
      policy: shape.policy,
      delivery: shape.delivery,
    });
    for (let output = 0; output < shape.workers; output++) {
      Channel.create(this.#region, `out${output}`, {
        pool: this.#pool,
        laneCapacity,
        maxConsumers: 1,
        policy: shape.outputPolicy,
      });
    }
    this.#objects = this.#region.directory.list().map(({ name: object }) => object);
  }

  get crew(): Crew {
    return this.#crew;
  }

  #start(role: ActorOptions["role"], output = 0): Member {
    const { policy, delivery, workers, outputPolicy } = this.#shape;
    return this.#crew.start({
      role,
      region: this.#name,
      incarnation: this.#run.nextIncarnation(),
      seed: this.#random.bits(),
      outputs: workers,
      output,
      wait: this.#random.pick(WAITS),
      reconnect: this.#random.oneIn(2),
      gapless: policy === "block" && delivery === "all",
      once: delivery === "one" && outputPolicy !== undefined,
      hostile: false,
    });
  }

  async play(kills: number): Promise<void> {
    this.#start("sink");
    for (let output = 0; output < this.#shape.workers; output++) this.#start("worker", output);
    this.#start("source");
    if (this.#shape.builder) this.#start("builder");
    if (!(await this.#allReady())) return;
    for (let done = 0; done < kills && this.#crew.faults.length === 0; ) {
      if (this.#random.oneIn(4)) await this.#violence.stopAndContinue(this.#random.pick(this.#crew.members));
      else done += await this.#killSome(kills - done);
      if (!(await this.#goesOn())) return;
      if (!(await this.#drains())) return;
    }
  }

  /** Without new frames all blocks come back while everybody is alive: nobody was given one without being told. */
  async #drains(): Promise<boolean> {
    const sources = this.#crew.members.filter((member) => member.options.role === "source");
    for (const source of sources) source.pause(true);
    const drained = await this.#crew.until("blocks come back from the living", PROGRESS_MS, () => {
      return this.#pool.countFree() === this.#shape.blocks;
    });
    for (const source of sources) source.pause(false);
    if (!drained) for (const line of describeState(this.#region, this.#pool)) this.#crew.fault(line);
    return drained;
  }

  #allReady(): Promise<boolean> {
    return this.#crew.until("everybody attached", READY_MS, () => this.#crew.members.every((m) => m.isReady));
  }

  /** The sink gets frames, and so does every worker's share of the rest. */
  async #goesOn(): Promise<boolean> {
    const { members } = this.#crew;
    const before = members.map((member) => ({ frames: member.frames, beats: member.beats }));
    const goneOn = await this.#crew.until("the survivors go on", PROGRESS_MS, () =>
      members.every((member, i) => member.frames > before[i]!.frames),
    );
    if (goneOn) return true;
    for (const [i, member] of members.entries()) {
      const { frames, beats } = before[i]!;
      const { wait, reconnect } = member.options;
      this.#crew.fault(
        `${member.name} (${wait}, reconnect ${reconnect}): ${member.frames - frames} frames, ${member.beats - beats} beats since`,
      );
    }
    for (const line of describeState(this.#region, this.#pool)) this.#crew.fault(line);
    return false;
  }

  #pickVictim(): Member {
    const { role } = this.#run.options;
    const { members } = this.#crew;
    const preferred = members.filter((member) => member.options.role === role);
    return this.#random.pick(preferred.length > 0 && !this.#random.oneIn(4) ? preferred : members);
  }

  /** Kills one or two, sometimes with a survivor stopped meanwhile, and starts their replacements. Returns how many died. */
  async #killSome(most: number): Promise<number> {
    const victims = new Set<Member>();
    const count = most > 1 && this.#random.oneIn(4) ? 2 : 1;
    while (victims.size < count) victims.add(this.#pickVictim());
    const bystander = this.#random.oneIn(3)
      ? this.#random.pick(this.#crew.members.filter((member) => !victims.has(member)))
      : undefined;
    if (bystander !== undefined) await this.#violence.stop(bystander);
    for (const victim of victims) await this.#violence.kill(victim);
    const successors: Member[] = [];
    for (const victim of victims) {
      await this.#crew.bury(victim);
      this.#run.countKill(victim);
      successors.push(this.#start(victim.options.role, victim.options.output));
    }
    if (bystander !== undefined) {
      // The dead are cleaned up and replaced around somebody who stands between two steps. (He may be the one who was cleaning.)
      const deadlineMs = performance.now() + this.#random.below(1000);
      while (performance.now() < deadlineMs && !successors.every((member) => member.isReady || member.gone)) {
        await Bun.sleep(1);
      }
      bystander.signal("SIGCONT");
    }
    await this.#allReady();
    return victims.size;
  }

  /** What must be true of the memory when everybody has left. */
  async finish(): Promise<void> {
    this.#run.frames += this.#crew.members.reduce((sum, member) => sum + member.frames, 0);
    await this.#crew.dismiss(LEAVE_MS);
    const me = Participant.of(this.#region);
    me.recoverDead();
    const free = this.#pool.countFree();
    if (free !== this.#shape.blocks) {
      this.#crew.fault(`${this.#shape.blocks - free} of ${this.#shape.blocks} blocks did not come back`);
    }
    this.#checkParticipants(me.index);
    this.#checkSockets();
    this.#checkDirectory();
    this.#newcomer();
    for (let output = 0; output < this.#shape.workers; output++) {
      this.#run.rejected += Channel.open(this.#region, `out${output}`).counters.rejected;
    }
    this.#run.rejected += Channel.open(this.#region, "in").counters.rejected;
  }

  #checkParticipants(own: number): void {
    const others = listParticipants(this.#region.control).filter(({ index }) => index !== own);
    for (const { index, phase, alive } of others) {
      const clean = phase === 0 || phase === 3;
      if (!clean || alive)
        this.#crew.fault(`participant ${index} is left in phase ${phase}, alive: ${alive}`);
    }
    // Slots are taken from the lowest: a table that fills up leaks. Stopped claims may block some for a while.
    const most = 2 * (this.#shape.workers + 3) + 4;
    if (others.length > most)
      this.#crew.fault(`${others.length} participant slots were used, expected at most ${most}`);
  }

  #checkSockets(): void {
    const { doorbellDirectory } = this.#region.control;
    const own = `${Participant.of(this.#region).index}.`;
    const files = existsSync(doorbellDirectory) ? readdirSync(doorbellDirectory) : [];
    const left = files.filter((file) => !file.startsWith(own));
    if (left.length > 0)
      this.#crew.fault(`${left.length} doorbells and life files are left: ${left.slice(0, 8)}`);
  }

  /** What a builder left is gone, or whole; it can be removed, and its space used again. */
  #checkDirectory(): void {
    const { directory } = this.#region;
    for (const { name } of directory.list()) if (name.startsWith(BUILT)) directory.remove(name);
    const before = this.#objects;
    const after = directory.list().map(({ name }) => name);
    if (after.join() !== before.join()) this.#crew.fault(`objects ${after}, before: ${before}`);
    const bytes = this.#region.directory
      .list()
      .reduce((end, entry) => Math.max(end, entry.offset + entry.sizeBytes), 0);
    const free = Math.floor((this.#region.sizeBytes - bytes) / 4096 - 1) * 4096;
    directory.create(ObjectKind.ring, "all the rest", free, () => undefined);
    directory.remove("all the rest");
  }

  /** A new process could take every end, and a frame passes. */
  #newcomer(): void {
    const { faults } = this.#crew;
    if (faults.length > 0) return;
    using other = Region.open(this.#name);
    for (const name of ["in", ...Array.from({ length: this.#shape.workers }, (_, i) => `out${i}`)]) {
      using producer = Channel.open(this.#region, name).producer();
      using consumer = Channel.open(other, name).consumer();
      using frame = producer.tryLoan();
      if (frame === null) {
        this.#crew.fault(`${name}: no block for a newcomer`);
        return;
      }
      frame.tag = 4711;
      producer.send(frame, { timeoutMs: 1000 });
      using got = consumer.receive({ timeoutMs: 1000 });
      if (got?.tag !== 4711) this.#crew.fault(`${name}: the newcomer's frame did not arrive`);
    }
  }

  async dispose(): Promise<void> {
    await this.#crew[Symbol.asyncDispose]();
    try {
      this.#region.close();
    } finally {
      destroyOwned(this.#name);
    }
  }
}

class KillRun {
  readonly random: Random;
  readonly violence: Violence;
  frames = 0;
  rejected = 0;
  kills = 0;
  scenarios = 0;
  readonly killsByRole: Record<string, number> = {};
  readonly errorCodes: Record<string, number> = {};
  readonly faults: string[] = [];
  readonly options: KillOptions;
  #incarnation = 0;

  constructor(options: KillOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    this.violence = new Violence(this.random);
  }

  nextIncarnation(): number {
    return ++this.#incarnation;
  }

  countKill(victim: Member): void {
    this.kills++;
    const { role } = victim.options;
    this.killsByRole[role] = (this.killsByRole[role] ?? 0) + 1;
    this.frames += victim.frames;
  }

  async run(): Promise<void> {
    const base = `kill-run-${process.pid}-${this.options.seed}`;
    const board = Board.create(ownRegion(`${base}-board`));
    try {
      while (this.kills < this.options.kills && this.faults.length === 0) {
        await this.#scenario(`${base}-${this.scenarios}`, board);
        this.scenarios++;
      }
    } finally {
      board[Symbol.dispose]();
      destroyOwned(`${base}-board`);
    }
  }

  async #scenario(name: string, board: Board): Promise<void> {
    const wanted = shapeOf(this.scenarios, this.random);
    const shape = { ...wanted, policy: this.options.policy ?? wanted.policy };
    const scenario = new Scenario(this, name, shape, board);
    try {
      await scenario.play(Math.min(KILLS_PER_SCENARIO, this.options.kills - this.kills));
      await scenario.finish();
    } finally {
      await scenario.dispose();
    }
    for (const [code, count] of Object.entries(scenario.crew.errorCodes)) {
      this.errorCodes[code] = (this.errorCodes[code] ?? 0) + count;
    }
    for (const fault of scenario.crew.faults) {
      this.faults.push(`scenario ${this.scenarios} ${JSON.stringify(shape)}: ${fault}`);
    }
    if (this.options.verbose)
      console.error(`scenario ${this.scenarios}: ${this.kills} kills, ${JSON.stringify(shape)}`);
  }
}

/** Runs until so many processes were killed, or a fault. */
export async function killTest(options: KillOptions): Promise<KillResult> {
  const startMs = performance.now();
  const run = new KillRun(options);
  await run.run();
  const { scenarios, kills, killsByRole, frames, rejected, errorCodes, faults } = run;
  const { stepKills, stops } = run.violence;
  const seconds = Math.round(performance.now() - startMs) / 1000;
  return {
    seed: options.seed,
    scenarios,
    kills,
    stepKills,
    stops,
    killsByRole,
    frames,
    rejected,
    errorCodes,
    faults,
    seconds,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "100" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      policy: { type: "string" },
      role: { type: "string" },
    },
  });
  const result = await killTest({
    kills: Number(values.kills),
    seed: seedFrom(values.seed),
    verbose: values.verbose,
    policy: values.policy as PolicyName | undefined,
    role: values.role,
  });
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
