/** A region name of a test; whatever has it is removed when the name is disposed, also when the test fails. */
import { Region } from "../../src/memory/region.ts";
import { uniqueName } from "./regions.ts";

export class ScratchName implements Disposable {
  readonly name: string;

  constructor(label: string) {
    this.name = uniqueName(label);
  }

  get path(): string {
    return `/dev/shm/physring.${this.name}`;
  }

  [Symbol.dispose](): void {
    Region.destroy(this.name);
  }
}
