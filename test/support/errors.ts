/** Expecting typed errors. */
import { expect } from "bun:test";
import { PhysringError } from "../../src/ffi/errors.ts";

/** Runs `body`, which must throw a PhysringError with this code; returns it. */
export function expectCode(code: string, body: () => unknown): PhysringError {
  let caught: unknown;
  try {
    body();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(PhysringError);
  const error = caught as PhysringError;
  expect(error.code).toBe(code);
  return error;
}

/** The code of the error that `promise` rejects with; null when it resolves. */
export function rejectionCode(promise: Promise<unknown>): Promise<string | null> {
  return promise.then(
    () => null,
    (error: unknown) => {
      if (error instanceof PhysringError) return error.code;
      throw error;
    },
  );
}
