/** Objects one way through a message channel (MessagePack in records). Roles: producer, consumer. */
import { Messages } from "../../src/channel/messages.ts";
import { Region } from "../../src/memory/region.ts";
import { type Job, report, thisJob, totalMessages } from "../job.ts";
import { addReading, expectedReadings, type Reading, readingOf } from "../objects.ts";

async function produce(job: Job, messages: Messages<Reading>): Promise<void> {
  using tx = messages.producer();
  await tx.waitForConsumers(1);
  const total = totalMessages(job);
  for (let sequence = 0; sequence < total; sequence++) tx.send(readingOf(sequence));
  report({ checksum: expectedReadings(total) });
}

function consume(job: Job, messages: Messages<Reading>): void {
  using rx = messages.consumer();
  let sum = 0;
  const run = (count: number): void => {
    for (let i = 0; i < count; i++) sum = addReading(sum, rx.receive() as Reading);
  };
  run(job.leg * job.warm);
  const start = Bun.nanoseconds();
  run(job.leg * job.legs);
  report({ messages: job.leg * job.legs, ns: Bun.nanoseconds() - start, checksum: sum >>> 0 });
}

const job = thisJob();
using region = Region.open(job.name);
const messages = Messages.open<Reading>(region, "objects");
if (job.role === "producer") await produce(job, messages);
else consume(job, messages);
