/** What other processes print. */

/** Whole lines; what a process that was killed left unfinished is none. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

/** Resolves to the first line; empty when there was none. */
export async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  for await (const line of lines(stream)) return line;
  return "";
}
