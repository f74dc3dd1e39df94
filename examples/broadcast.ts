/**
 * A ticker: ten records a second to whoever reads, however many and however slow. Any process reads it, Python too:
 *
 *     bun examples/broadcast.ts          until Ctrl-C
 *     bun examples/broadcast.ts 100      100 records
 *     python3 examples/peer.py ticker ticks
 */
import { Records, Region } from "physring";

let left = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);
process.on("SIGINT", () => {
  left = 0;
});

using region = Region.create("ticker", { size: "1MiB" });
const records = Records.create(region, "ticks", { capacityBytes: 65536, mode: "lossy", history: 10 });
using producer = records.producer();
console.log("ticker: sending");
const text = new TextEncoder();
for (; left > 0; left--) {
  producer.send(text.encode(`${new Date().toISOString()} tick ${producer.sequence}`));
  await Bun.sleep(100);
}
producer.close();
Region.destroy("ticker");
