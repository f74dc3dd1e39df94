/*
 * Latest-value cell (PROTOCOL section 13): a writer that never waits and may die anywhere, its successor, two readers of which one
 * sleeps between values. A value is two words. Stores of the writer may become visible late and, of payload words, in any order
 * (a buffer of the words it has not yet made visible); loads of the readers are in order: fences are where the protocol has them.
 */
#ifndef K
#define K 4
#endif
#ifndef VALUES
#define VALUES 5
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

byte latest, sequence[K], first[K], second[K];
bit owner, dead, kill, finished;
byte crashes, written;    /* written: ghost, values begun */
byte out;                 /* ghost: the newest version that latest said */
bit waiting, bell, asleep;

#define B(v) ((v) % K)

/* What the writer has stored and nobody sees yet: mark, word, word, in any order behind the fences. */
bit pendingMark, pendingFirst, pendingSecond;
byte at, value;

inline drainMark() { d_step { if :: pendingMark -> sequence[at] = 0; pendingMark = 0 :: else fi } }
inline drainWords() {
  d_step {
    if :: pendingFirst -> first[at] = value; pendingFirst = 0 :: else fi;
    if :: pendingSecond -> second[at] = value; pendingSecond = 0 :: else fi
  }
}

active proctype Memory() {
end:
  do
  :: d_step { pendingMark -> sequence[at] = 0; pendingMark = 0 }
  :: d_step { pendingFirst -> first[at] = value; pendingFirst = 0 }
  :: d_step { pendingSecond -> second[at] = value; pendingSecond = 0 }
  od
}

inline ring() {
  if
  :: waiting -> d_step { if :: bell -> bell = 0; asleep = 0 :: else fi }
  :: else
  fi
}

active proctype Writer() {
  byte v;
  do
  :: {
      owner = 1;
      do
      :: written < VALUES ->
        v = latest + 1;
        d_step { at = B(v); value = v; written++; pendingMark = 1 };
#ifdef BUG_NO_MARK
        pendingMark = 0;
#endif
#ifndef BUG_NO_STORES_FENCE
        drainMark();
#endif
        if
        :: pendingFirst = 1; pendingSecond = 1
        :: pendingSecond = 1; pendingFirst = 1
        fi;
#ifndef BUG_NO_RELEASE
        drainMark();
        drainWords();
#endif
        sequence[at] = v;
        d_step { latest = v; out = v };
        ring();
        drainMark();
        drainWords()
      :: else -> break
      od;
      owner = 0;
      finished = 1;
      break
    } unless { atomic { kill -> kill = 0; drainMark(); drainWords(); dead = 1; v = 0 } };
    !dead                                                     /* cleaned up: a successor, which writes at least one more */
  od
}

inline readOnce(v, a, b, last, ok) {
  ok = 0;
  v = latest;
  if
  :: v == 0
  :: v != 0 ->
    if
    :: sequence[B(v)] != v                                    /* overtaken */
    :: else ->
      a = first[B(v)];
      b = second[B(v)];
#ifdef BUG_NO_CHECK
      ok = 1
#else
      if :: sequence[B(v)] == v -> ok = 1 :: else fi
#endif
    fi
  fi;
  if
  :: ok -> assert(a == v && b == v); assert(v >= last); d_step { last = v; a = 0; b = 0; v = 0 }
  :: else -> d_step { a = 0; b = 0; v = 0 }
  fi
}

/* Looks a few times whenever it likes. */
active proctype Glancer() {
  byte v, a, b, last, looks;
  bit ok;
  do
  :: looks < 3 -> looks++; readOnce(v, a, b, last, ok)
  :: break
  od
}

/* Sleeps while there is nothing newer, and must see the last value. */
active proctype Watcher() {
  byte v, a, b, last;
  bit ok;
  do
  :: last == latest && finished && owner == 0 -> break
  :: last != latest -> readOnce(v, a, b, last, ok)
  :: last == latest && !finished ->
    waiting = 1;
    bell = 1;
    if
    :: last != latest || finished
    :: else -> d_step { if :: bell -> asleep = 1 :: else fi }; !asleep || finished
    fi;
    bell = 0;
    waiting = 0
  od;
  assert(last == out)
}

active proctype Cleaner() {
end:
  do
  :: dead ->
    owner = 0;
    d_step { bell = 0; asleep = 0 };
    /* The successor has something to say: what it writes is a new value. */
    d_step { dead = 0; if :: written >= VALUES -> written = VALUES - 1 :: else fi }
  od
}

active proctype Killer() {
  do
  :: atomic { crashes < CRASHES && !finished && !dead -> crashes++; kill = 1 }; !kill || finished
  :: break
  od
}
