/*
 * Stalled consumers of a work queue (PROTOCOL section 11): one lane of two slots whose indices wrap, one producer, two takers of whom one at a
 * time has the place (consumers = one). Time is abstract: a producer whose lane is full may evict at any moment, rightly or not. One taker may
 * stop for ever, anywhere. Memory is sequentially consistent; when nothing moves any more, Monitor asks whether anything is left.
 */
#define WRAP 8            /* stands for 2^32; more than there are messages: a claim does not see a head that went round */
#define CAPACITY 2
#ifndef MESSAGES
#define MESSAGES 5
#endif
#ifndef STOPS
#define STOPS 1
#endif

#define USED ((tail + WRAP - head) % WRAP)

byte tail = 6, head = 6, slot[CAPACITY];
byte consumers, sleepers;
bit bell[2], asleep[2];   /* of the takers: armed; in the kernel */
byte sent, taken;         /* ghosts: published, claimed */
byte stops;
bit done;

inline ring(who) {
  d_step { if :: bell[who] -> bell[who] = 0; asleep[who] = 0 :: else fi }
}

/* Rings sleepers in turn until one was asleep. */
inline wakeOne() {
  d_step {
    if
    :: (sleepers & 1) && bell[0] -> bell[0] = 0; asleep[0] = 0
    :: else ->
      if
      :: (sleepers & 2) && bell[1] -> bell[1] = 0; asleep[1] = 0
      :: else
      fi
    fi
  }
}

active proctype Producer() {
  byte m;
  do
  :: sent < MESSAGES && USED < CAPACITY ->
    d_step { slot[tail % CAPACITY] = sent + 1; tail = (tail + 1) % WRAP; sent++ };
    wakeOne()
#ifndef BUG_KEEPS_PLACE
  :: USED == CAPACITY && consumers != 0 ->
    m = consumers;
    d_step { if :: consumers == m -> consumers = 0 :: else -> m = 0 fi };
    if :: m & 1 -> ring(0) :: else fi;
    if :: m & 2 -> ring(1) :: else fi;
    m = 0
#endif
  :: sent == MESSAGES && USED < CAPACITY -> break             /* nobody waits for room any more */
  od;
  done = 1
}

active [2] proctype Taker() {
  byte h, copy;
#define ME (_pid - 1)
#define BIT (1 << ME)
#define LOST ((consumers & BIT) == 0)
attach:
end_attach:
  atomic { consumers == 0 -> consumers = BIT };
  do
  :: d_step { stops < STOPS -> stops++; h = 0; copy = 0 };    /* for ever, with its place and its bits */
end_stopped:
    false
  :: LOST ->
    wakeOne();                                                /* passes on */
    goto attach
  :: d_step { !LOST && USED > 0 -> h = head; copy = slot[head % CAPACITY] };
    if
    :: d_step { stops < STOPS -> stops++; h = 0; copy = 0 };  /* with a copy that it has not claimed */
end_copied:
      false
    :: true
    fi;
    d_step {
      if
#ifdef BUG_NO_COMPARE
      :: true ->
#else
      :: head == h ->
#endif
        assert(copy == taken + 1);                            /* just the next one: none lost, none twice, evicted or not */
        head = (h + 1) % WRAP;
        taken++
      :: else
      fi;
      h = 0; copy = 0
    }
  :: !LOST && USED == 0 ->
    sleepers = sleepers | BIT;
    bell[ME] = 1;
    if
#ifndef BUG_NO_LOOK
    :: USED > 0 || LOST
    :: USED == 0 && !LOST ->
#else
    :: true ->
#endif
      d_step { if :: bell[ME] -> asleep[ME] = 1 :: else fi };
end_asleep:
      !asleep[ME]
    fi;
    bell[ME] = 0;
    sleepers = sleepers & ~BIT
  od
}

/* Nothing moves any more. A stopped taker holds no producer up; what its ring was for may lie in a lane that is not full. */
active proctype Monitor() {
  timeout ->
  assert(done);
  assert(USED == 0 || stops > 0);
  assert(taken + USED == MESSAGES)
}
