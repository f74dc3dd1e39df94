/*
 * Ring (PROTOCOL section 5) with doorbells (section 3), the end of a stream (section 7.2) and recovery's ringing (section 8).
 *
 * Side 0 produces, side 1 consumes. Each side has a one-entry store buffer, so that a store may become visible after
 * later loads (x86-TSO, and the part of arm64 that the doorbell depends on): without the fence the model loses wake-ups.
 * With -DMEMBARRIER the waker has no fence and the sleeper's membarrier drains everybody's buffer instead.
 * Either side, and the cleaner, may be killed before any statement; stores already issued still reach memory.
 * Nobody has a time slice here: a lost wake-up is a deadlock, which SPIN reports as an invalid end state.
 */
#define CAPACITY 2
#define WRAP 4            /* stands for 2^32: indices run free and wrap */
#define START 3           /* first index, next to the wrap */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif

#define P 0
#define C 1
#define INDEX 0           /* store buffer addresses: own index, own doorbell, ended */
#define BELL 1
#define ENDED 2

byte tail = START, head = START, slot[CAPACITY];
bit ended;
byte bell[2];             /* 0 awake, 1 futex, 2 + number of the sleep: event loop */
byte held[3];             /* what each waker, and the cleaner, last read of a doorbell and may still compare it with */
bit inFutex[2];           /* queued in futex-wait */
bit mail[2];              /* a byte waits in the datagram socket of the present generation */
bit generation[2];        /* of the participant; one bit is enough to tell neighbours apart */

bit bufferFull[2];
byte bufferAddress[2], bufferValue[2];

bit kill[3], dead[2];     /* kill[2] is the cleaner's */
byte crashes;
byte published, released; /* ghosts: how many messages the indices stand for */
bit finished[2];
bit cleaning;             /* ghost */

inline drain(s) {
  if
  :: !bufferFull[s]
  :: bufferFull[s] && bufferAddress[s] == INDEX && s == P -> tail = bufferValue[s]
  :: bufferFull[s] && bufferAddress[s] == INDEX && s == C -> head = bufferValue[s]
  :: bufferFull[s] && bufferAddress[s] == BELL -> bell[s] = bufferValue[s]
  :: bufferFull[s] && bufferAddress[s] == ENDED -> ended = bufferValue[s]
  fi;
  bufferFull[s] = 0; bufferAddress[s] = 0; bufferValue[s] = 0
}

/* the entry leaves the buffer at any moment */
active [2] proctype Memory() {
end:
  do
  :: d_step { bufferFull[_pid] -> drain(_pid) }
  od
}

#define STORE(s, a, v) atomic { !bufferFull[s] -> bufferFull[s] = 1; bufferAddress[s] = a; bufferValue[s] = v }
#define FENCE(s) !bufferFull[s]

/* SYNC doorbell, waker's side: publish -> fence -> read */
inline ringPeer(me, peer) {
#ifdef BUG_GENERATION_BEFORE_READ
  g = generation[peer];
#endif
#if !defined(BUG_NO_FENCE) && !defined(MEMBARRIER)
  FENCE(me);
#endif
  held[me] = bell[peer];
  if
  :: held[me] == 0
  :: held[me] == 1 ->
    d_step { FENCE(me) -> if :: bell[peer] == 1 -> bell[peer] = 0 :: else -> held[me] = 0 fi }; /* CAS */
    if :: held[me] == 1 -> inFutex[peer] = 0 :: else fi
  :: held[me] >= 2 ->
#ifndef BUG_GENERATION_BEFORE_READ
    g = generation[peer];
#endif
    d_step { if :: generation[peer] == g -> mail[peer] = 1 :: else fi }; /* an absent socket is nobody */
    d_step { FENCE(me) -> if :: bell[peer] == held[me] -> bell[peer] = 0 :: else fi } /* CAS */
  fi;
  d_step { held[me] = 0; g = 0 }
}

/* SYNC doorbell, sleeper's side: store -> fence -> look */
inline sleep(me, nothing) {
  if
  :: b = 1
  :: d_step {                                       /* a number that no waker can still hold */
      b = 2;
      if :: b == held[1 - me] || b == held[2] -> b++ :: else fi;
      if :: b == held[1 - me] || b == held[2] -> b++ :: else fi
    }
  fi;
  STORE(me, BELL, b);
#ifdef MEMBARRIER
  d_step { drain(0); drain(1) };                              /* every thread passes a full barrier */
#else
  FENCE(me);
#endif
  if
#ifndef BUG_NO_LOOK
  :: !(nothing)
  :: nothing ->
#else
  :: true ->
#endif
    if
    :: b == 1 -> d_step { if :: bell[me] == 1 -> inFutex[me] = 1 :: else fi }; !inFutex[me]
    :: b >= 2 -> d_step { mail[me] -> mail[me] = 0 }
    fi
  fi;
  b = 0;
  STORE(me, BELL, 0)
}

#define USED(t, h) ((t + WRAP - h) % WRAP)

active proctype Producer() {
  byte t, h, n, k, b, g;
  do
  :: {
      d_step { t = tail; h = head };
      do
      :: published == MESSAGES -> break
      :: published < MESSAGES ->
        do                                                    /* room: cached head first */
        :: USED(t, h) < CAPACITY -> break
        :: else ->
          h = head;
          if
          :: USED(t, h) < CAPACITY
          :: else -> sleep(P, USED(t, head) >= CAPACITY); h = head
          fi
        od;
        if                                                    /* a burst of one or two */
        :: n = 1
        :: USED(t, h) == 0 && published + 2 <= MESSAGES -> n = 2
        fi;
#ifdef BUG_PUBLISH_BEFORE_WRITE
        STORE(P, INDEX, (t + n) % WRAP);
#endif
        k = 0;
        do
        :: k < n -> slot[((t + k) % WRAP) % CAPACITY] = published + k + 1; k++
        :: else -> k = 0; break
        od;
#ifdef BUG_PUBLISH_BEFORE_WRITE
        published = published + n;
#else
        atomic { !bufferFull[P] -> bufferFull[P] = 1; bufferAddress[P] = INDEX; bufferValue[P] = (t + n) % WRAP; published = published + n };
#endif
        d_step { t = (t + n) % WRAP; n = 0 };
        ringPeer(P, C)
      od;
      STORE(P, ENDED, 1);
      ringPeer(P, C);
      FENCE(P);
      finished[P] = 1;
      break
    } unless {
      atomic { kill[P] -> kill[P] = 0; drain(P); dead[P] = 1; inFutex[P] = 0; held[P] = 0; t = 0; h = 0; n = 0; k = 0; b = 0; g = 0 }
    };
    atomic { !dead[P] -> generation[P] = 1 - generation[P]; mail[P] = 0 } /* recovered: another one attaches, at tail */
  od
}

active proctype Consumer() {
  byte t, h, n, k, b, g;
  do
  :: {
      d_step { t = tail; h = head };
      do
      :: t == h ->
        t = tail;
        if
        :: t != h
        :: t == h && ended ->
#ifndef BUG_END_WITHOUT_LOOK
          t = tail;
#endif
          if
          :: t == h -> break
          :: else
          fi
        :: t == h && !ended -> sleep(C, tail == h && !ended)
        fi
      :: t != h ->
        assert(USED(t, h) <= CAPACITY);
        if
        :: n = 1
        :: USED(t, h) == 2 -> n = 2
        fi;
        k = 0;
        do
        :: k < n -> assert(slot[((h + k) % WRAP) % CAPACITY] == released + k + 1); k++   /* order, no loss, no duplicate */
        :: else -> k = 0; break
        od;
        atomic { !bufferFull[C] -> bufferFull[C] = 1; bufferAddress[C] = INDEX; bufferValue[C] = (h + n) % WRAP; released = released + n; h = (h + n) % WRAP; n = 0 };
#ifndef BUG_RELEASE_WITHOUT_RING
        ringPeer(C, P)
#endif
      od;
      FENCE(C);
      assert(released == MESSAGES);
      finished[C] = 1;
      break
    } unless {
      atomic { kill[C] -> kill[C] = 0; drain(C); dead[C] = 1; inFutex[C] = 0; held[C] = 0; t = 0; h = 0; n = 0; k = 0; b = 0; g = 0 }
    };
    atomic { !dead[C] -> generation[C] = 1 - generation[C]; mail[C] = 0 }
  od
}

/* Recovery of x as far as a ring needs it: ring everybody whatever the doorbell says, then swept. */
inline wake(s) {
#ifdef BUG_POLITE_RECOVERY
  if
  :: bell[s] == 0
  :: else -> b = bell[s]; bell[s] = 0; if :: b == 1 -> inFutex[s] = 0 :: b >= 2 -> mail[s] = 1 :: else fi
  fi
#else
  mail[s] = 1;                                                /* an old waker disarmed first and died */
  held[2] = bell[s];
  if :: held[2] >= 2 -> mail[s] = 1 :: else fi;
  d_step { if :: bell[s] == held[2] -> bell[s] = 0 :: else fi; held[2] = 0 };
  inFutex[s] = 0
#endif
}

active proctype Cleaner() {
  byte x, b;
end:
  do
  :: {
end1: do
      :: dead[P] || dead[C] ->
        d_step { x = (dead[P] -> P : C); cleaning = 1 };
#ifdef BUG_SWEPT_BEFORE_RING
        dead[x] = 0;
#endif
        wake(P);
        wake(C);
#ifndef BUG_SWEPT_BEFORE_RING
        dead[x] = 0;
#endif
        d_step { x = 0; cleaning = 0 }
      od
    } unless { atomic { kill[2] -> kill[2] = 0; held[2] = 0; x = 0; b = 0; cleaning = 0 } }
  od
}

active proctype Killer() {
  do
  :: atomic { crashes < CRASHES && !finished[P] && !dead[P] -> crashes++; kill[P] = 1 }; !kill[P] || finished[P]
  :: atomic { crashes < CRASHES && !finished[C] && !dead[C] -> crashes++; kill[C] = 1 }; !kill[C] || finished[C]
  :: atomic { crashes < CRASHES && cleaning -> crashes++; kill[2] = 1 }; !kill[2]
  :: break
  od
}
