/*
 * Pool, lanes and recovery (PROTOCOL sections 6, 7.1, 7.2, 8) without drop-oldest.
 *
 * Participant 0 sends every frame to lanes 0 (consumer 1) and 1 (consumer 2). With -DFORWARD consumer 2 may forward a frame it
 * holds alone through lane 2, whose consumer is 1 again. With -DLEAVE consumer 1 may leave its lane alive and join again.
 * Anybody may be killed before any statement and comes back with the same index after recovery; the cleaner may be killed too.
 * One statement touches one shared word (a slot, written while nobody may read it, counts as one).
 *
 * Properties: nobody loses its bit or its bytes while it holds a block (hold, check); no message twice on a lane (accept);
 * nothing leaks: once all have left, every block is free (Monitor); nobody waits for ever (invalid end states).
 */
#define BLOCKS 2
#define CAPACITY 2
#define WRAP 4
#define START 3
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef KILLS
#define KILLS 15          /* whom the killer may choose: bit 0-2 the participants, bit 3 the cleaner */
#endif
#ifdef FORWARD
#define LANES 3
#else
#define LANES 2
#endif

#define BIT(p) (1 << (p))
#define LEN(l) ((prepared[l] + WRAP - tail[l]) % WRAP)
#define USED(l) ((tail[l] + WRAP - head[l]) % WRAP)
#define NEXT(i) (((i) + 1) % WRAP)
#define AT(l, i) ((l) * CAPACITY + ((i) % CAPACITY))

/* consumer owner: generation * 8 + busy * 4 + (participant + 1) */
#define WHO(o) ((o) & 3)
#define BUSY 4
#define ACTIVE(o) (WHO(o) != 0 && !((o) & BUSY))
#define BUMP(o, who) ((((o) >> 3) + 1) * 8 + (who))

byte holders[BLOCKS], generation[BLOCKS], content[BLOCKS];
byte tail[LANES] = START, prepared[LANES] = START, head[LANES] = START, owner[LANES];
byte slotBlock[6], slotGeneration[6], slotOwner[6], slotMessage[6];
bit ended[2];             /* of the channels of participants 0 and 2 */

chan kill[4] = [0] of { bit };
bit dead[3], done[3], cleaning;
byte crashes, messages;   /* ghost: messages begun */
byte got[LANES];          /* ghost: messages accepted on each lane */

/* ---- sending: first..last are the lanes of the sender's channel; known[] its local copy of their owners ---- */
inline forgetSend() { l = 0; receivers = 0; known[0] = 0; known[1] = 0 }

inline send(me, b, first, last, m) {
  l = first;
  do                                                          /* 1 */
  :: l <= last ->
    atomic { !ACTIVE(owner[l]) || USED(l) < CAPACITY ->
      if
      :: ACTIVE(owner[l]) && WHO(owner[l]) != me + 1 && !(receivers & BIT(WHO(owner[l]) - 1)) ->
        known[l - first] = owner[l]; receivers = receivers | BIT(WHO(owner[l]) - 1)
      :: else
      fi;
      l++ }
  :: else -> l = first; break
  od;
  assert(holders[b] == BIT(me));                              /* 2 */
#ifdef BUG_PREPARED_AFTER_HANDOVER
  atomic { assert(holders[b] == BIT(me)); holders[b] = holders[b] | receivers };
#endif
  do                                                          /* 3: nobody reads the slot before prepared covers it */
  :: l <= last ->
    d_step {
      if
      :: known[l - first] ->
        slotBlock[AT(l, tail[l])] = b; slotGeneration[AT(l, tail[l])] = generation[b];
        slotOwner[AT(l, tail[l])] = known[l - first]; slotMessage[AT(l, tail[l])] = m;
        prepared[l] = NEXT(tail[l])
      :: else
      fi;
      l++ }
  :: else -> l = first; break
  od;
#ifndef BUG_PREPARED_AFTER_HANDOVER
  atomic { assert(holders[b] == BIT(me)); holders[b] = holders[b] | receivers };  /* 4, SYNC hand-over */
#endif
#ifdef BUG_RELEASE_BEFORE_PUBLISH
  holders[b] = holders[b] & ~BIT(me);
#endif
#ifndef BUG_NO_RECHECK
  do                                                          /* 5 */
  :: atomic { l <= last && (!known[l - first] || owner[l] == known[l - first]) -> l++ }
  :: atomic { l <= last && known[l - first] && owner[l] != known[l - first] -> skip };
    holders[b] = holders[b] & ~BIT(WHO(known[l - first]) - 1);
    atomic { prepared[l] = tail[l]; known[l - first] = 0; l++ }
  :: l > last -> l = first; break
  od;
#endif
  do                                                          /* 6, SYNC publish */
  :: l <= last -> d_step { if :: known[l - first] -> tail[l] = NEXT(tail[l]) :: else fi; l++ }
  :: else -> break
  od;
#ifndef BUG_RELEASE_BEFORE_PUBLISH
  atomic { holders[b] = holders[b] & ~BIT(me); forgetSend() } /* 7 */
#else
  forgetSend()
#endif
}

/* ---- consuming ---- */
inline join(me, l) {
  atomic { WHO(owner[l]) == 0 ->
#ifdef BUG_JOIN_VISIBLE_EARLY
    owner[l] = BUMP(owner[l], me + 1); mine = owner[l] };
  t = tail[l];
  head[l] = t; t = 0
#else
    owner[l] = BUMP(owner[l], me + 1) | BUSY };
  t = tail[l];
  head[l] = t;
  atomic { t = 0; owner[l] = BUMP(owner[l], me + 1); mine = owner[l] }
#endif
}

#define HELD(me, l, s) ((holders[slotBlock[s]] & BIT(me)) && slotGeneration[s] == generation[slotBlock[s]])

inline leaveLane(me, l) {
#ifdef BUG_LEAVE_WITHOUT_WAIT
  owner[l] = BUMP(owner[l], me + 1) | BUSY;
#else
  owner[l] = BUMP(owner[l], me + 1) | BUSY;
  prepared[l] == tail[l];                                     /* a sender past step 5 publishes, one before it undoes */
#endif
#ifndef BUG_LEAVE_WITHOUT_SCAN
  do
  :: head[l] != tail[l] ->
    t = AT(l, head[l]);
    if
    :: HELD(me, l, t) && slotOwner[t] == mine -> holders[slotBlock[t]] = holders[slotBlock[t]] & ~BIT(me)
    :: else
    fi;
    head[l] = NEXT(head[l])
  :: else -> t = 0; break
  od;
#endif
  atomic { t = 0; mine = 0; owner[l] = BUMP(owner[l], 0) }
}

/* using: bitmap of the blocks the application holds; message[b]: what it must find there */
inline receive(me, l, mine) {
  atomic { head[l] != tail[l] -> t = AT(l, head[l]); b = slotBlock[t]; g = slotGeneration[t]; o = slotOwner[t]; m = slotMessage[t]; t = 0;
    head[l] = NEXT(head[l]) };
  atomic {
    if
#ifdef BUG_NO_GENERATION
    :: (holders[b] & BIT(me)) ->
#else
#ifdef BUG_BLOCK_GENERATION_ONLY
    :: (holders[b] & BIT(me)) && generation[b] == g ->
#else
    :: (holders[b] & BIT(me)) && generation[b] == g && o == mine ->
#endif
#endif
      assert(!(using & BIT(b)));                              /* a bit is not a count */
      assert(!(got[l] & BIT(m)));                             /* no double delivery */
      assert(content[b] == m);
      using = using | BIT(b); message[b] = m; got[l] = got[l] | BIT(m)
    :: else
    fi;
    b = 0; g = 0; o = 0; m = 0 }
}

#define CHECK(me, b) assert((holders[b] & BIT(me)) && content[b] == message[b])

inline release(me) {
  atomic { using -> if :: (using & 1) -> b = 0 :: (using & 2) -> b = 1 fi; CHECK(me, b); using = using & ~BIT(b); message[b] = 0;
    holders[b] = holders[b] & ~BIT(me); b = 0 }
}

/* recovery of x: by the cleaner, and by x itself when it leaves (then without steps 3 and 7) */
inline unprepare(x, l) {
#ifndef BUG_NO_PREPARED
  if
  :: LEN(l) != 0 ->
    atomic { s = AT(l, tail[l]); if :: !HELD(x, l, s) -> s = 99 :: else fi };
#ifdef BUG_CLEANER_FORGETS_FIRST
    prepared[l] = tail[l];
#endif
    if
    :: s != 99 -> atomic { holders[slotBlock[s]] = holders[slotBlock[s]] & ~BIT(WHO(slotOwner[s]) - 1); s = 0 }
    :: else -> s = 0
    fi
  :: else
  fi;
#endif
  prepared[l] = tail[l]
}

inline sweep(x) {
  holders[0] = holders[0] & ~BIT(x);
  holders[1] = holders[1] & ~BIT(x)
}

inline unown(x, l) {
  if
  :: WHO(owner[l]) == x + 1 -> owner[l] = BUMP(owner[l], 0)   /* SYNC lane-dead */
  :: else
  fi
}

inline unownAll(x) {
  if
  :: x == 1 ->
    unown(1, 0);
#ifdef FORWARD
    unown(1, 2)
#endif
  :: x == 2 -> unown(2, 1)
  :: else
  fi
}

inline recover(x) {
#ifdef BUG_SWEEP_FIRST
  sweep(x);
#endif
  if                                                          /* step 4 */
  :: x == 0 -> unprepare(0, 0); unprepare(0, 1); ended[0] = 1
#ifdef FORWARD
  :: x == 2 -> unprepare(2, 2); ended[1] = 1
#endif
  :: else
  fi;
#ifdef BUG_SWEEP_BEFORE_MARK
  sweep(x);
  unownAll(x)
#else
  unownAll(x);                                                /* step 5 */
  sweep(x)                                                    /* step 6 */
#endif
}

/* a consumer that has seen the end and released everything holds nothing: a bit left would stay until it leaves */
#define NO_BITS(p) (((holders[0] | holders[1]) & BIT(p)) == 0)
#ifdef FORWARD
#define FINISHED1 (ended[0] && head[0] == tail[0] && ended[1] && head[2] == tail[2])
#else
#define FINISHED1 (ended[0] && head[0] == tail[0])
#endif

active proctype Producer() {
  byte known[2], receivers, l, b, s;
  do
  :: {
      do
      :: messages < MESSAGES ->
        if                                                    /* loan */
        :: atomic { holders[0] == 0 -> holders[0] = BIT(0); b = 0 }
        :: atomic { holders[1] == 0 -> holders[1] = BIT(0); b = 1 }
        fi;
        atomic { generation[b]++; content[b] = messages; messages++ };
        send(0, b, 0, 1, content[b]);
        b = 0
      :: else -> break
      od;
      ended[0] = 1;
      done[0] = 1;
      break
    } unless {
      atomic { kill[0] ? 0 -> dead[0] = 1; forgetSend(); b = 0; s = 0 }
    };
#ifdef REBIRTH
    atomic { !dead[0] -> ended[0] = 0 }
#else
    atomic { !dead[0] -> done[0] = 1; break }
#endif
  od
}

active proctype Consumer1() {
  byte using, message[2], mine, b, g, o, m, t, s;
#ifdef FORWARD
  byte mineToo;
#endif
#ifdef LEAVE
  bit left;
#endif
  do
  :: {
      join(1, 0);
#ifdef FORWARD
      mineToo = mine;                                         /* join() sets mine: lane 0's goes aside meanwhile */
      join(1, 2);
      atomic { t = mine; mine = mineToo; mineToo = t; t = 0 };
#endif
      do
      :: receive(1, 0, mine)
#ifdef FORWARD
      :: receive(1, 2, mineToo)
#endif
      :: release(1)
#ifdef LEAVE
      :: atomic { !left && mine -> left = 1 }; leaveLane(1, 0); join(1, 0)
#endif
      :: atomic { FINISHED1 && !using -> assert(NO_BITS(1)); break }
      od;
      recover(1);
      done[1] = 1;
      break
    } unless {
      atomic { kill[1] ? 0 -> dead[1] = 1; using = 0; message[0] = 0; message[1] = 0; mine = 0; b = 0; g = 0; o = 0; m = 0; t = 0; s = 0;
#ifdef FORWARD
        mineToo = 0;
#endif
      }
    };
    !dead[1]
  od
}

active proctype Consumer2() {
  byte using, message[2], mine, b, g, o, m, t, s;
#ifdef FORWARD
  byte known[2], receivers, l;
#endif
  do
  :: {
      join(2, 1);
      do
      :: receive(2, 1, mine)
      :: release(2)
#ifdef FORWARD
      :: atomic { (using & 1) && holders[0] == BIT(2) -> b = 0; CHECK(2, 0); using = using & ~1; m = message[0]; message[0] = 0 }; send(2, b, 2, 2, m); atomic { b = 0; m = 0 }
      :: atomic { (using & 2) && holders[1] == BIT(2) -> b = 1; CHECK(2, 1); using = using & ~2; m = message[1]; message[1] = 0 }; send(2, b, 2, 2, m); atomic { b = 0; m = 0 }
#endif
      :: atomic { ended[0] && head[1] == tail[1] && !using -> assert(NO_BITS(2)); break }
      od;
      recover(2);
      done[2] = 1;
      break
    } unless {
      atomic { kill[2] ? 0 -> dead[2] = 1; using = 0; message[0] = 0; message[1] = 0; mine = 0; b = 0; g = 0; o = 0; m = 0; t = 0; s = 0;
#ifdef FORWARD
        forgetSend()
#endif
      }
    };
    atomic { !dead[2] -> ended[1] = 0 }
  od
}

active proctype Cleaner() {
  byte x, s;
end:
  do
  :: {
end1: do
      :: dead[0] -> atomic { x = 0; cleaning = 1 }; recover(0); atomic { dead[0] = 0; cleaning = 0; x = 0 }
      :: dead[1] -> atomic { x = 1; cleaning = 1 }; recover(1); atomic { dead[1] = 0; cleaning = 0; x = 0 }
      :: dead[2] -> atomic { x = 2; cleaning = 1 }; recover(2); atomic { dead[2] = 0; cleaning = 0; x = 0 }
      od
    } unless { atomic { kill[3] ? 0 -> cleaning = 0; x = 0; s = 0 } }
  od
}

active proctype Killer() {
  do
  :: atomic { (KILLS & 1) && crashes < CRASHES && !done[0] && !dead[0] -> crashes++; end0: kill[0] ! 0 }
  :: atomic { (KILLS & 2) && crashes < CRASHES && !done[1] && !dead[1] -> crashes++; end1: kill[1] ! 0 }
  :: atomic { (KILLS & 4) && crashes < CRASHES && !done[2] && !dead[2] -> crashes++; end2: kill[2] ! 0 }
  :: atomic { (KILLS & 8) && crashes < CRASHES && cleaning -> crashes++; end3: kill[3] ! 0 }
  :: break
  od
}

active proctype Monitor() {
  atomic { done[0] && done[1] && done[2] && !dead[0] && !dead[1] && !dead[2] ->
    assert(holders[0] == 0 && holders[1] == 0) }
}
