/** A region name of a test; whatever has it is removed when the name is disposed, also when the test fails. */
import { Region } from "../../src/memory/region.ts";
import { regionPath, uniqueName } from "./regions.ts";

export class ScratchName implements Disposable {
  readonly name: string;

  constructor(label: string) {
    this.name = uniqueName(label);
  }

  get path(): string {
    return regionPath(this.name);
  }

  [Symbol.dispose](): void {
    Region.destroy(this.name);
  }
}
