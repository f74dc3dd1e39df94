/** A board that got no processor for a second did not show its cleaner that a queue is idle: whoever wants the queue sees it later. */
import { CommandQueue, type Core, QueueStuckError } from "../../src/fpga/index.ts";
import type { Region } from "../../src/memory/region.ts";
import { Patience } from "../support/patience.ts";

/** Opens and closes the queue until that succeeds. */
export async function liftQuarantine(core: Core, region: Region, name: string): Promise<void> {
  const patience = new Patience(30_000);
  for (;;) {
    try {
      CommandQueue.open(core, region, name, { wait: "poll" }).close();
      return;
    } catch (error) {
      if (!(error instanceof QueueStuckError) || patience.isOver) throw error;
      await Bun.sleep(50);
    }
  }
}
