/** The command line of the FPGA examples. */
import { parseArgs } from "node:util";
import type { Coherency } from "physring/fpga";

const COHERENCIES: readonly Coherency[] = ["full", "io", "none"];
const OPTIONS = `
  --coherency MODE   of the simulated machine: full (default); io: its device sees queue memory in any order;
                     none: payload is behind a cache as well, and is synced
  --help             this text`;

function end(code: number, text: string): never {
  (code === 0 ? console.log : console.error)(text);
  process.exit(code);
}

/** Ends the process on --help, and when it does not understand. */
export function fpgaArguments(usage: string, most: number): { coherency: Coherency; places: string[] } {
  const options = { coherency: { type: "string", default: "full" }, help: { type: "boolean" } } as const;
  try {
    const { values, positionals: places } = parseArgs({ options, allowPositionals: true });
    if (values.help === true) end(0, `usage: bun examples/${usage}\n${OPTIONS}`);
    const coherency = COHERENCIES.find((mode) => mode === values.coherency);
    if (coherency === undefined)
      throw new Error(`--coherency ${values.coherency}: one of ${COHERENCIES.join(", ")}`);
    if (places.length > most) throw new Error(`${places[most]}: what is that?`);
    return { coherency, places };
  } catch (error) {
    end(2, `${(error as Error).message}\nusage: bun examples/${usage}`);
  }
}
