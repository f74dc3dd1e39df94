/**
 * Death notices without polling (PROTOCOL.md §3 "Life file"): every participant keeps a file open for writing in the region's
 * directory of doorbells; the kernel closes it however the participant ends, and tells the event loops that watch the directory.
 * The notice is a hint and comes before the locks of the dead are free; the lock decides.
 */
import { existsSync } from "node:fs";
import { SystemError } from "../ffi/errors.ts";
import { EventLoopReader } from "../ffi/event-loop-reader.ts";
import { closeFile, openFile, unlinkFile } from "../ffi/files.ts";
import {
  type InotifyEvent,
  InotifyMask,
  inotifyOpen,
  inotifyUnwatch,
  inotifyWatch,
  parseInotify,
} from "../ffi/inotify.ts";
import type { ControlArea } from "../memory/control.ts";

const LIFE_FILE_MODE = 0o600;
const CREATE_ATTEMPTS = 8;
const LIFE_NAME = /^(\d{1,2})\.(\d{1,8})\.life$/;

export function lifePath(directory: string, participant: number, generation: number): string {
  return `${directory}/${participant}.${generation}.life`;
}

/** The open file that says that this participant lives. */
export class LifeFile implements Disposable {
  readonly path: string;
  #fd: number;

  /** Before the participant's state becomes live. Throws SystemError when the directory cannot be written. */
  constructor(control: ControlArea, participant: number, generation: number) {
    this.path = lifePath(control.doorbellDirectory, participant, generation);
    this.#fd = this.#create(control);
  }

  #create(control: ControlArea): number {
    for (let attempt = 1; ; attempt++) {
      control.makeDoorbellDirectory();
      // A region that was replaced by force may have left one of this name.
      unlinkFile(this.path);
      try {
        return openFile(this.path, { createMode: LIFE_FILE_MODE, noFollow: true });
      } catch (error) {
        // The last user of a destroyed region may be taking the directory away.
        const vanished = error instanceof SystemError && error.errnoName === "ENOENT";
        if (!vanished || attempt === CREATE_ATTEMPTS) throw error;
      }
    }
  }

  /** Closes it. Its name goes with the doorbell's ({@link removeDoorbell}). */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeFile(this.#fd);
    this.#fd = -1;
  }
}

/** Who is told. All callbacks come from the event loop and must not throw. */
export interface LifeListener {
  readonly directory: string;
  /** This participant's own files; when they are removed nobody can reach it any more. */
  readonly ownPaths: readonly string[];
  /** The life file of a participant was closed. */
  onLifeEnded(participant: number, generation: number): void;
  /** Notices may have been missed. */
  onMissed(): void;
  /** No more notices will come. */
  onLost(): void;
}

const WATCH_MASK =
  InotifyMask.closeWrite | InotifyMask.delete | InotifyMask.deleteSelf | InotifyMask.moveSelf;
const GONE_MASK = InotifyMask.deleteSelf | InotifyMask.moveSelf | InotifyMask.ignored;

/** The one inotify descriptor of a thread. Read while somebody waits: reading keeps the process alive. */
class LifeWatch {
  #fd = -1;
  #reader: EventLoopReader | null = null;
  readonly #watches = new Map<number, Set<LifeListener>>();
  /** Why there are no notices, for people; null while there are. */
  refusal: string | null = null;

  /** False when the kernel gives no notices here; {@link refusal} says why. */
  add(listener: LifeListener): boolean {
    try {
      if (this.#fd < 0) this.#open();
      const watch = inotifyWatch(this.#fd, listener.directory, WATCH_MASK);
      const listeners = this.#watches.get(watch);
      if (listeners === undefined) this.#watches.set(watch, new Set([listener]));
      else listeners.add(listener);
      this.refusal = null;
      return true;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.refusal = error.message;
      this.#closeWhenUnused();
      return false;
    }
  }

  remove(listener: LifeListener): void {
    for (const [watch, listeners] of this.#watches) {
      if (!listeners.delete(listener) || listeners.size > 0) continue;
      this.#watches.delete(watch);
      inotifyUnwatch(this.#fd, watch);
    }
    this.#closeWhenUnused();
  }

  #open(): void {
    this.#fd = inotifyOpen();
    this.#reader = new EventLoopReader(this.#fd, {
      onBytes: (bytes) => this.#dispatch(parseInotify(bytes)),
      onEnd: () => this.#end("the inotify descriptor cannot be read"),
    });
  }

  /** A wait begins, of a listener that was added. */
  hold(): void {
    if (this.#reader?.hold()) this.#all((listener) => listener.onMissed());
  }

  /** A wait is over, of a listener that is still there. */
  letGo(): void {
    this.#reader?.letGo();
  }

  #closeWhenUnused(): void {
    if (this.#watches.size > 0 || this.#fd < 0) return;
    this.#reader?.stop();
    this.#reader = null;
    closeFile(this.#fd);
    this.#fd = -1;
  }

  #dispatch(events: readonly InotifyEvent[]): void {
    for (const { watch, mask, name } of events) {
      if ((mask & InotifyMask.overflow) !== 0) this.#all((listener) => listener.onMissed());
      const listeners = this.#watches.get(watch);
      if (listeners === undefined) continue;
      if ((mask & GONE_MASK) !== 0) this.#lose(watch, listeners);
      else for (const listener of [...listeners]) tell(listener, mask, name);
    }
  }

  #all(action: (listener: LifeListener) => void): void {
    for (const listeners of [...this.#watches.values()])
      for (const listener of [...listeners]) action(listener);
  }

  #lose(watch: number, listeners: Set<LifeListener>): void {
    this.#watches.delete(watch);
    inotifyUnwatch(this.#fd, watch);
    for (const listener of [...listeners]) listener.onLost();
    this.#closeWhenUnused();
  }

  #end(reason: string): void {
    this.refusal = reason;
    const lost = [...this.#watches.values()];
    this.#watches.clear();
    this.#closeWhenUnused();
    for (const listeners of lost) for (const listener of [...listeners]) listener.onLost();
  }
}

function tell(listener: LifeListener, mask: number, name: string): void {
  const life = LIFE_NAME.exec(name);
  if ((mask & InotifyMask.closeWrite) !== 0 && life !== null)
    listener.onLifeEnded(Number(life[1]), Number(life[2]));
  if ((mask & InotifyMask.delete) === 0) return;
  const path = `${listener.directory}/${name}`;
  // Somebody removed the region, or replaced it by force and uses our names. (We replace our own socket now and then.)
  if (listener.ownPaths.includes(path) && !existsSync(path)) listener.onLost();
}

export const lifeWatch = new LifeWatch();

/** How this thread learns of deaths: by the kernel's notices, or, where it refuses them, by looking every 50 ms. */
export function deathNotices(): { readonly events: boolean; readonly reason: string | null } {
  return { events: lifeWatch.refusal === null, reason: lifeWatch.refusal };
}
