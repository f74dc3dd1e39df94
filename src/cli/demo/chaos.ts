/** `--chaos`: kills a worker now and then and starts another. */
import { Channel } from "../../channel/channel.ts";
import { ParticipantRecord } from "../../memory/layout.ts";
import type { Region } from "../../memory/region.ts";
import { InUseError } from "../../ring/errors.ts";
import { listParticipants } from "../../ring/participant.ts";
import type { ChildProcess } from "./child-process.ts";
import { outputName } from "./plan.ts";

export interface ChaosHost {
  readonly region: Region;
  /** Mean time between two kills, milliseconds. */
  readonly meanMs: number;
  readonly sink: ChildProcess;
  readonly victims: () => ChildProcess[];
  /** Nobody else is to be killed or started. */
  readonly isOver: () => boolean;
  /** Starts a successor. */
  readonly replace: () => void;
}

const POLL_MS = 5;
const STARTING_PROBABILITY = 0.2;
/** Recovery after a death takes some 50 ms; this is for a machine that is stuck. */
const RECOVERY_LIMIT_MS = 30_000;

export class ChaosMonkey {
  readonly #host: ChaosHost;
  #killed = 0;
  #stopped = false;
  #idle = Promise.resolve();

  constructor(host: ChaosHost) {
    this.#host = host;
  }

  /** Workers killed so far. */
  get killed(): number {
    return this.#killed;
  }

  /** Kills and replaces until the run is over. */
  async run(): Promise<void> {
    this.#idle = this.#loop();
    return this.#idle;
  }

  async #loop(): Promise<void> {
    let nextMs = performance.now() + this.#randomMs();
    while (!this.#stopped && !this.#host.isOver()) {
      await Bun.sleep(POLL_MS);
      if (performance.now() < nextMs) continue;
      nextMs = performance.now() + this.#randomMs();
      const victims = this.#host.victims();
      // Now and then one that is just starting; always, and a run with short intervals would get nowhere.
      if (!victims.every((victim) => victim.joined) && Math.random() > STARTING_PROBABILITY) continue;
      const victim = victims[Math.floor(Math.random() * victims.length)];
      if (victim === undefined || this.#host.isOver()) continue;
      await this.#kill(victim);
      if (!this.#host.isOver()) this.#host.replace();
    }
  }

  /** Half to one and a half of the mean. */
  #randomMs(): number {
    return this.#host.meanMs * (0.5 + Math.random());
  }

  async #kill(victim: ChildProcess): Promise<void> {
    const { region, sink } = this.#host;
    victim.kill();
    await victim.exited();
    // It may have finished before the signal came.
    if (victim.finished) return;
    this.#killed++;
    sink.send({ kind: "gone", worker: victim.worker });
    await this.#sealOutput(victim);
    await sink.expect("closed", victim.worker);
    region.directory.remove(outputName(victim.worker));
  }

  /**
   * Ends the victim's output in its place: recovery does that for a producer that died, but the victim may not have become one yet.
   * Attaching cleans up behind the dead; the object may go only when nobody is still cleaning.
   */
  async #sealOutput(victim: ChildProcess): Promise<void> {
    const { region } = this.#host;
    const deadlineMs = performance.now() + RECOVERY_LIMIT_MS;
    while (!trySeal(region, victim.worker) || isBeingCleaned(region, victim.pid)) {
      if (performance.now() > deadlineMs)
        throw new Error(`the remains of worker ${victim.worker} were not cleaned up within 30 s`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** Resolves when no kill is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#idle;
  }
}

function trySeal(region: Region, worker: number): boolean {
  try {
    Channel.open(region, outputName(worker)).producer().close();
    return true;
  } catch (error) {
    if (error instanceof InUseError) return false;
    throw error;
  }
}

function isBeingCleaned(region: Region, pid: number): boolean {
  const unclean: number[] = [ParticipantRecord.phaseLive, ParticipantRecord.phaseDying];
  return listParticipants(region.control).some(
    (participant) => participant.pid === pid && unclean.includes(participant.phase),
  );
}
