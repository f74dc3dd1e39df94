/** Another process of the suite: takes an end, sends some numbers if it is the sender, says so, and stays until it is killed. */
import { Region } from "../../src/index.ts";
import { adapters } from "./adapters.ts";

const {
  adapter: name,
  region: regionName,
  end,
  values,
} = JSON.parse(process.argv[2]!) as {
  adapter: string;
  region: string;
  end: "sender" | "receiver";
  values: number[];
};
const adapter = adapters.find((candidate) => candidate.name === name)!;
const region = Region.open(regionName);
if (end === "sender") {
  const sender = adapter.sender(region);
  for (const value of values) sender.send(value);
} else adapter.receiver(region);
console.log("ready");
setInterval(() => process.ppid === 1 && process.exit(), 500);
