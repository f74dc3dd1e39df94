/*
 * Work queue with shared heads (PROTOCOL section 11): two lanes of two slots whose indices wrap, two producers, two takers that
 * sleep, deaths and recovery. The end of a queue is left to the schedules (test/schedules/queue.ts).
 *
 * Memory is sequentially consistent: fence and membarrier of the doorbell are ring.pml's. There is no time slice: when nothing moves any
 * more, Monitor asks whether anybody sleeps beside work. A taker may go about other things for ever after a message (BUSY):
 * whatever is left must then have woken the other one. Takers take one message at a time; a look at both lanes is one step.
 */
#define WRAP 4            /* stands for 2^32 */
#define START 3
#define CAPACITY 2
#ifndef MESSAGES
#define MESSAGES 2        /* of producer 0 */
#endif
#ifndef OTHERS
#define OTHERS 1          /* of producer 1 */
#endif
#define QUOTA(p) ((p) == 0 -> MESSAGES : OTHERS)
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef KILLS
#define KILLS 7           /* bits 0, 1 producers; 2 the first taker: one must stay */
#endif
#ifndef BUSY
#define BUSY 0            /* how many takers may stop taking without leaving */
#endif

#define USED(l) ((tail[l] + WRAP - head[l]) % WRAP)
#define SLOT(l, i) slot[(l) * CAPACITY + (i) % CAPACITY]
#define WORK (USED(0) > 0 || USED(1) > 0)

byte tail[2] = START, head[2] = START, slot[4];
bit owner[2] = 1;         /* lane l has its producer */
byte sleepers;            /* bits 0, 1: takers */
bit bell[2], asleep[2];   /* of the takers: armed; in the kernel */
bit room[2];              /* of the producers: armed */
byte sent[2], taken[2];   /* ghosts: published, claimed of each lane */
bit kill[3], dead[3], done[2];
byte crashes, busy;

/* Rings sleepers in turn until one was asleep: an exchange each. */
inline wakeOne() {
  m = sleepers;
  do
  :: m == 0 -> break
  :: d_step { m != 0 ->
      q = (m & 1 -> 0 : 1);
      m = m & ~(1 << q);
      if
      :: bell[q] -> bell[q] = 0; asleep[q] = 0; m = 0
      :: !bell[q]
      fi;
      q = 0
    }
  od
}

active [2] proctype Producer() {
  byte m, q;
  {
    do
    :: sent[_pid] < QUOTA(_pid) ->
      if
      :: d_step { USED(_pid) < CAPACITY -> SLOT(_pid, tail[_pid]) = sent[_pid] + 1 }; /* nobody reads it before the tail */
        d_step { tail[_pid] = (tail[_pid] + 1) % WRAP; sent[_pid]++ };
#ifndef BUG_NO_WAKE
        wakeOne()
#endif
#ifdef BURSTS
      :: d_step { USED(_pid) == 0 && sent[_pid] + 2 <= QUOTA(_pid) ->
          SLOT(_pid, tail[_pid]) = sent[_pid] + 1; SLOT(_pid, tail[_pid] + 1) = sent[_pid] + 2 };
        d_step { tail[_pid] = (tail[_pid] + 2) % WRAP; sent[_pid] = sent[_pid] + 2 };
        wakeOne()
#endif
      :: USED(_pid) == CAPACITY ->                            /* arm, look, sleep */
        room[_pid] = 1;
        if
        :: USED(_pid) < CAPACITY -> room[_pid] = 0
        :: USED(_pid) == CAPACITY -> !room[_pid]
        fi
      fi
    :: sent[_pid] == QUOTA(_pid) -> break
    od;
    atomic { owner[_pid] = 0; done[_pid] = 1 }
  } unless { atomic { kill[_pid] -> kill[_pid] = 0; dead[_pid] = 1; m = 0; q = 0 } }
}

#define ME (_pid - 2)     /* the takers are processes 2 and 3 */

active [2] proctype Taker() {
  byte l, h, copy, m, q;
  bit got;
  {
    do
    :: WORK ->
      if                                                      /* look: a head, and a copy that may be torn by the time it is claimed */
      :: d_step { USED(0) > 0 -> l = 0; h = head[0]; copy = SLOT(0, h) }
      :: d_step { USED(1) > 0 -> l = 1; h = head[1]; copy = SLOT(1, h) }
      :: !WORK -> goto rest
      fi;
      d_step {
        if
#ifdef BUG_NO_COMPARE
        :: true ->
#else
        :: head[l] == h ->
#endif
#ifdef BUG_COPY_AFTER_CLAIM
          copy = 0;
#else
          assert(copy == taken[l] + 1);                       /* just the next one of its lane: none lost, none twice */
#endif
          head[l] = (h + 1) % WRAP;
          taken[l]++;
          got = 1
        :: else
        fi
      };
#ifdef BUG_COPY_AFTER_CLAIM
      if
      :: got -> assert(SLOT(l, h) <= taken[l])
      :: else
      fi;
#endif
      if
      :: got -> room[l] = 0                                   /* the producer of the lane is rung */
      :: else -> goto rest
      fi;
      atomic { l = 0; h = 0; copy = 0; got = 0 };
#ifndef BUG_NO_PASS_ON
      if
      :: sleepers != 0 && WORK -> wakeOne()
      :: sleepers == 0 || !WORK
      fi;
#endif
      if
      :: d_step { busy < BUSY -> busy++ }; break              /* other things, for ever: it will not look again */
      :: true
      fi;
rest: atomic { l = 0; h = 0; copy = 0; got = 0 }
    :: !WORK ->
#ifndef BUG_WITHOUT_BIT
      sleepers = sleepers | (1 << ME);
#endif
      bell[ME] = 1;
      if
#ifndef BUG_NO_LOOK
      :: WORK
      :: !WORK ->
#else
      :: true ->
#endif
        d_step { if :: bell[ME] -> asleep[ME] = 1 :: else fi };
end:    !asleep[ME]
      fi;
      bell[ME] = 0;
      sleepers = sleepers & ~(1 << ME)
    od
  } unless { atomic { kill[2] && ME == 0 -> kill[2] = 0; dead[2] = 1; asleep[0] = 0; l = 0; h = 0; copy = 0; m = 0; q = 0; got = 0 } }
}

/* Recovery, steps 5 and 7: each is idempotent. */
active proctype Cleaner() {
  byte x;
end:
  do
  :: dead[0] || dead[1] || dead[2] ->
    x = (dead[0] -> 0 : (dead[1] -> 1 : 2));
    if
#ifndef BUG_LANE_LEFT
    :: x < 2 -> owner[x] = 0
#else
    :: x < 2
#endif
    :: x == 2 -> sleepers = sleepers & ~1
    fi;
#ifndef BUG_RECOVERY_WITHOUT_WAKING
    d_step { bell[0] = 0; bell[1] = 0; asleep[0] = 0; asleep[1] = 0; room[0] = 0; room[1] = 0 };
#endif
    d_step { if :: x < 2 -> done[x] = 1 :: else fi; dead[x] = 0; x = 0 }
  od
}

active proctype Killer() {
  do
  :: d_step { (KILLS & 1) && crashes < CRASHES && !done[0] -> crashes++; kill[0] = 1 }; !kill[0] || done[0]
  :: d_step { (KILLS & 2) && crashes < CRASHES && !done[1] -> crashes++; kill[1] = 1 }; !kill[1] || done[1]
  :: d_step { (KILLS & 4) && crashes < CRASHES && busy == 0 -> crashes++; busy = 9; kill[2] = 1 }; !kill[2]
  :: break
  od
}

/* Nothing moves any more. */
active proctype Monitor() {
  timeout ->
  assert(!WORK);                                              /* nobody sleeps beside work */
  assert(done[0] && done[1]);                                 /* no producer waits for room that is there */
  assert(!owner[0] && !owner[1]);
  assert(taken[0] == sent[0] && taken[1] == sent[1])
}
