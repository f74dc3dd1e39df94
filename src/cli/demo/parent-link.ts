/** A child's side of the IPC channel to the process that started it. */
import type { ChildMessage, ParentMessage } from "./messages.ts";

type Kind = ParentMessage["kind"];
type MessageOf<K extends Kind> = Extract<ParentMessage, { kind: K }>;

export class ParentLink {
  readonly #handlers = new Map<Kind, (message: never) => void>();
  readonly #early: ParentMessage[] = [];
  #ending = false;

  /** @param orphaned called when the parent died */
  constructor(orphaned: () => void) {
    process.on("message", (message: ParentMessage) => this.#deliver(message));
    process.on("disconnect", () => {
      if (!this.#ending) orphaned();
    });
  }

  #deliver(message: ParentMessage): void {
    const handler = this.#handlers.get(message.kind) as ((message: ParentMessage) => void) | undefined;
    if (handler === undefined) this.#early.push(message);
    else handler(message);
  }

  /** Calls back for every message of a kind, also for those that came before. */
  on<K extends Kind>(kind: K, handler: (message: MessageOf<K>) => void): void {
    this.#handlers.set(kind, handler as (message: never) => void);
    for (const message of this.#early.splice(0)) this.#deliver(message);
  }

  /** The next message of a kind. */
  once<K extends Kind>(kind: K): Promise<MessageOf<K>> {
    return new Promise((resolve) => {
      this.on(kind, (message) => {
        this.#handlers.delete(kind);
        resolve(message);
      });
    });
  }

  send(message: ChildMessage): void {
    // The parent may have died this moment; then `disconnect` follows.
    if (process.connected) process.send?.(message);
  }

  /** The last message is sent: this process ends when the parent has taken it and closes the channel. */
  async end(): Promise<void> {
    this.#ending = true;
    if (!process.connected) return;
    await new Promise<void>((resolve) => process.once("disconnect", () => resolve()));
  }
}
