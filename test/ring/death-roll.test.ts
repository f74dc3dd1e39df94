/** What survivors read of the dead: nothing twice, nothing torn, and a count of those whose names are lost. */
import { expect, test } from "bun:test";
import { Control, ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { DeathRoll, recordDeath } from "../../src/ring/deaths.ts";

const SLOT = 3;
const RECORD = participantRecordWord(SLOT);

function bench() {
  const words = new Int32Array(Control.sizeBytes / 4);
  const die = (generation: number, pid: number): void => {
    words[RECORD + ParticipantRecord.pidWord] = pid;
    words[RECORD + ParticipantRecord.nameWord] = 0x61 + (pid & 7); // a letter
    recordDeath(words, SLOT, generation);
  };
  return { words, die, roll: new DeathRoll(words) };
}

test("each death is told once", () => {
  const { die, roll } = bench();
  expect(roll.changed).toBe(false);
  die(1, 100);
  expect(roll.changed).toBe(true);
  expect(roll.take()).toEqual([{ participant: SLOT, generation: 1, pid: 100, name: "e", missed: 0 }]);
  expect(roll.changed).toBe(false);
  die(2, 101);
  expect(roll.take()).toMatchObject([{ generation: 2, pid: 101, missed: 0 }]);
  expect(roll.take()).toEqual([]);
});

test("of several deaths in one slot the last is told, and how many there were before", () => {
  const { words, die, roll } = bench();
  for (const generation of [0xff_fffd, 0xff_ffff, 1]) die(generation, 100 + (generation & 7)); // some left in order in between
  const late = new DeathRoll(words);
  expect(roll.take()).toMatchObject([{ generation: 1, pid: 101, missed: 2 }]);
  expect(late.take()).toEqual([]);
  for (let generation = 2; generation < 2 + 256; generation++) die(generation, generation);
  expect(roll.take()).toMatchObject([{ generation: 257, missed: 255 }]);
});

test("a cleaning that is repeated counts once", () => {
  const { die, roll } = bench();
  die(1, 100);
  die(1, 100);
  expect(roll.take()).toMatchObject([{ generation: 1, missed: 0 }]);
  die(1, 100); // its cleaner died after it had told
  expect(roll.changed).toBe(true);
  expect(roll.take()).toEqual([]);
  die(2, 101);
  expect(roll.take()).toMatchObject([{ generation: 2, missed: 0 }]);
});

test("what a cleaner was writing when it died is not told until the next one has written it", () => {
  const { words, die, roll } = bench();
  die(1, 100);
  const begun = (2 << ParticipantRecord.generationShift) | 2;
  words[RECORD + ParticipantRecord.deathBegunWord] = begun;
  words[RECORD + ParticipantRecord.deathPidWord] = 101; // the name is the old one's still
  expect(roll.take()).toEqual([]);
  die(2, 101);
  expect(roll.take()).toEqual([{ participant: SLOT, generation: 2, pid: 101, name: "f", missed: 1 }]);
});
