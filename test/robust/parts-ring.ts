/** The SPSC ring in the kill test: one producer, one consumer in place; nothing that was committed is lost. */
import { type Region, Ring } from "../../src/index.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import type { Random } from "../support/random.ts";
import type { Actor } from "./actor-roles.ts";
import type { Aftermath, Topology } from "./parts.ts";
import { BURST, consumeFrom, drainSome, Inbox, produceInto, SLOT_BYTES } from "./parts-queue.ts";

const NAME = "ring";

function create(region: Region, random: Random): void {
  const shape = { slotBytes: SLOT_BYTES, capacity: random.pick([2, 8, 64]) };
  const { words } = Ring.create(region, NAME, shape).geometry;
  // Indices go round 2^32 at once.
  words[RingLayout.tailWord] = words[RingLayout.headWord] = random.pick([-20, 0x7fff_fff0]);
}

/** What is left is taken; a message passes from a new producer to a new consumer. */
function verify({ region, ledger, kills }: Aftermath): string[] {
  const faults: string[] = [];
  const ring = Ring.open(region, NAME);
  using tx = ring.producer();
  using rx = ring.consumer();
  const inbox = new Inbox(ledger, (what) => faults.push(what), true);
  while (drainSome(rx, inbox, BURST) > 0);
  const again = (kills["consumer"] ?? 0) * BURST;
  if (ledger.duplicates > again)
    faults.push(`${ledger.duplicates} came twice; ${again} may be delivered again`);
  const missing = ledger.missing();
  if (missing > 0) faults.push(`${missing} messages are lost`);
  if (tx.reserve(1) !== 1) faults.push("the ring has no room for a newcomer");
  tx.commit(1);
  if (rx.peek(1) !== 1) faults.push("a newcomer's message did not arrive");
  return faults;
}

export const ring: Topology = {
  name: "ring",
  parts: {
    producer: {
      count: 1,
      run: (actor: Actor, region) => produceInto(actor, region, () => Ring.open(region, NAME).producer()),
    },
    consumer: {
      count: 1,
      run: (actor: Actor, region) => consumeFrom(actor, region, () => Ring.open(region, NAME).consumer()),
    },
  },
  create,
  verify,
};
