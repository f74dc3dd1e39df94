/** The doorbell of a participant as a word (PROTOCOL.md §3 "Doorbell"), and the name of the socket that belongs to it. */
import { ParticipantRecord, participantRecordWord } from "../memory/layout.ts";

export const DoorbellWord = {
  awake: 0,
  asleepInFutex: 1,
  /** Low byte of the doorbell of a sleeper in its event loop; above it a number that no other sleep of it has. */
  asleepInEventLoop: 2,
  modeMask: 0xff,
  sleepNumberShift: 8,
} as const;

const FIRST_DOORBELL_WORD = participantRecordWord(0) + ParticipantRecord.doorbellWord;
const RECORD_WORDS = participantRecordWord(1) - participantRecordWord(0);

/** Word index of a doorbell in the control area. On the path of every commit: one multiplication. */
export function doorbellIndex(participant: number): number {
  return (FIRST_DOORBELL_WORD + participant * RECORD_WORDS) | 0;
}

export function stateIndex(participant: number): number {
  return participantRecordWord(participant) + ParticipantRecord.stateWord;
}

export function socketPath(directory: string, participant: number, generation: number): string {
  return `${directory}/${participant}.${generation}`;
}
