/** Killing and stopping members of a crew: at random instants, and between random protocol steps. */
import type { Random } from "../support/random.ts";
import { Fault } from "./board.ts";
import type { Member } from "./crew.ts";

const MOST_STEPS = 4000;
const MOST_SWAPS = 200;
const MOST_EXTRA = 24;

export class Violence {
  readonly #random: Random;
  /** Deaths that came between two protocol steps, not from outside. */
  stepKills = 0;
  stops = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  #arm(member: Member, fault: number): void {
    const random = this.#random;
    if (random.oneIn(2)) member.arm(random.logarithmic(MOST_STEPS), fault);
    else member.arm(random.logarithmic(MOST_SWAPS), fault, 1 + random.below(MOST_EXTRA));
  }

  /** Between two steps if it takes any, else wherever it is. */
  async stop(member: Member): Promise<void> {
    this.#arm(member, Fault.stop);
    const deadlineMs = performance.now() + 100;
    while (!member.isStopped && performance.now() < deadlineMs) await Bun.sleep(1);
    member.disarm();
    if (!member.isStopped) member.signal("SIGSTOP");
  }

  /** Stops somebody for longer than a time slice; it must come back as if nothing had been. */
  async stopAndContinue(member: Member): Promise<void> {
    await this.stop(member);
    await Bun.sleep(this.#random.below(150));
    member.signal("SIGCONT");
    this.stops++;
  }

  async kill(victim: Member): Promise<void> {
    if (this.#random.oneIn(3)) {
      const untilMs = performance.now() + this.#random.below(8) + this.#random.below(1000) / 1000;
      while (performance.now() < untilMs) await Bun.sleep(0);
      victim.signal("SIGKILL");
      await victim.ended();
      return;
    }
    this.#arm(victim, this.#random.oneIn(3) ? Fault.stop : Fault.kill);
    victim.doomed = true;
    const deadlineMs = performance.now() + 500;
    // It may be asleep for want of work, then the signal comes from outside.
    while (!victim.gone && !victim.isStopped && performance.now() < deadlineMs) await Bun.sleep(1);
    if (victim.gone || victim.isStopped) this.stepKills++;
    // Stopped between two steps, others work around it, then it dies there.
    if (victim.isStopped) await Bun.sleep(this.#random.below(120));
    victim.signal("SIGKILL");
    await victim.ended();
  }
}
