/** Openers that can deal with one shape only say so, and learn at once what was found instead. */
import { RegionError } from "../memory/errors.ts";

/** Compares what the opener expects (undefined: anything) with what the object is. @throws RegionError `OBJECT_SHAPE` */
export function expectShape<T extends object>(
  what: string,
  found: T,
  expected: { readonly [K in keyof T]?: T[K] | undefined },
): void {
  for (const key of Object.keys(expected) as (keyof T & string)[]) {
    const wanted = expected[key];
    if (wanted === undefined || wanted === found[key]) continue;
    throw new RegionError(
      "OBJECT_SHAPE",
      `${what} has ${key} ${String(found[key])}, not ${String(wanted)}: open it without that expectation, or have it created anew`,
    );
  }
}
