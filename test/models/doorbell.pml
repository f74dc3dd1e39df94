/*
 * The doorbell of a sleeper in its event loop (PROTOCOL section 3) with two wakers, each of which may be stopped for ever, or die,
 * before any statement. Nobody has a time slice: a sleeper that stays asleep although a waker went all its way is a lost wake-up.
 *
 * Memory is sequentially consistent here: ring.pml is about the fences.
 */
#ifndef MESSAGES
#define MESSAGES 2        /* of each waker */
#endif
#define WAKERS 2
#define NUMBERS 64        /* more sleeps than a run has */

byte bell;                /* 0 awake, else 1 + number of the sleep */
byte mail;                /* datagrams in the socket; a full one keeps what it has */
byte published[WAKERS];   /* messages that can be seen */
byte rung[WAKERS];        /* ghost: messages whose waker has done all it does */
byte taken[WAKERS];
bit asleep;               /* ghost: nothing left to do but to wait for a datagram */
bit halted[WAKERS];

#define MAYSTOP(w) if :: true :: halted[w] = 1; goto end_stopped fi

proctype Waker(byte w) {
  byte n, armed;
  do
  :: n == MESSAGES -> break
  :: else ->
    MAYSTOP(w);
    published[w]++;
    MAYSTOP(w);
    armed = bell;
    if
    :: armed == 0
    :: else ->
#ifdef BUG_DISARM_BEFORE_SEND
      MAYSTOP(w);
      bell = 0;
      MAYSTOP(w);
      if :: mail < 2 -> mail++ :: else fi;
#else
      MAYSTOP(w);
      if :: mail < 2 -> mail++ :: else fi;             /* EAGAIN: rung already */
      MAYSTOP(w);
#ifdef BUG_DISARM_WITHOUT_COMPARING
      bell = 0;
#else
      d_step { if :: bell == armed -> bell = 0 :: else fi };
#endif
#endif
    fi;
    armed = 0;
    rung[w]++;
    n++
  od;
end_stopped:
  skip
}

#define NEWS (taken[0] != published[0] || taken[1] != published[1])

active proctype Sleeper() {
  byte number;
  do
  :: d_step { taken[0] = published[0]; taken[1] = published[1] };
    number++;
#ifdef BUG_SAME_NUMBER
    bell = 1;
#else
    bell = 1 + number;                                  /* arm */
#endif
#ifdef BUG_NO_LOOK
    if :: true ->
#else
    if :: NEWS :: else ->
#endif
      asleep = 1;
end_asleep:
      d_step { mail > 0 -> mail--; asleep = 0 }
    fi
  od
}

/* A message whose waker went all its way is not slept through. */
active proctype Observer() {
end_observer:
  d_step {
    asleep && mail == 0 && (rung[0] > taken[0] || rung[1] > taken[1]) -> assert(false)
  }
}

init { run Waker(0); run Waker(1) }
