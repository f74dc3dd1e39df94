/**
 * A motor controller: one server, any number of clients that ask it, and telemetry as messages beside it.
 *
 *     bun examples/service.ts serve                until Ctrl-C
 *     bun examples/service.ts move 30 45           each position in turn, then prints the telemetry of the moves
 *
 * Kill the server in the middle of a move: the client is told, and asks the next one.
 */
import { Messages, Region, ServerGoneError, Service } from "physring";

interface Move {
  readonly axis: number;
  readonly toDegrees: number;
}

interface Position {
  readonly axis: number;
  readonly degrees: number;
}

const [command = "serve", ...targets] = process.argv.slice(2);

if (command === "serve") {
  const stop = new AbortController();
  process.on("SIGINT", () => stop.abort());
  {
    using region = Region.create("motor", { size: "2MiB" });
    const motor = Service.create<Move, Position>(region, "motor", { clients: 4 });
    // Everybody may listen; nobody can slow the motor down.
    const telemetry = Messages.create<Position>(region, "telemetry", {
      capacityBytes: 65536,
      mode: "lossy",
      shapes: [["axis", "degrees"]],
    });
    using server = motor.server();
    using positions = telemetry.producer();
    const degrees = [0, 0, 0];
    console.log("motor: ready");
    await server.serve(
      async ({ axis, toDegrees }) => {
        const from = degrees[axis];
        if (from === undefined) throw new Error(`there is no axis ${axis}`);
        for (let step = 1; step <= 10; step++) {
          degrees[axis] = from + ((toDegrees - from) * step) / 10;
          positions.send({ axis, degrees: degrees[axis] });
          await Bun.sleep(5);
        }
        return { axis, degrees: toDegrees };
      },
      { signal: stop.signal },
    );
  }
  Region.destroy("motor");
} else {
  using region = Region.open("motor", { waitMs: 5000 });
  using positions = Messages.open<Position>(region, "telemetry", { waitMs: 1000 }).consumer();
  using client = Service.open<Move, Position>(region, "motor", { waitMs: 1000 }).client();
  for (const target of targets) {
    const move = { axis: 0, toDegrees: Number(target) };
    try {
      const { degrees } = await client.call(move, { timeoutMs: 5000 });
      console.log(`axis 0 is at ${degrees}`);
    } catch (error) {
      if (!(error instanceof ServerGoneError)) throw error;
      console.log("the motor went away in the middle of a move");
    }
  }
  let seen = 0;
  while (positions.tryReceive() !== undefined) seen++;
  console.log(`${seen} positions seen, ${positions.missed} missed`);
}
