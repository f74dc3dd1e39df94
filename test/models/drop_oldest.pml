/*
 * Drop-oldest (PROTOCOL section 7.4) and the quiescence of section 8, step 8.
 *
 * One lane, capacity 2, two blocks, from participant 0 to participant 1. Participant 2 stands for the rest of the system: it may
 * be a second receiver of any frame and, once it holds a block alone, may forward it (same block generation!) to participant 1 by
 * another way (the inbox). Participant 1 may be killed, leave the lane, or leave altogether, and the index is used again.
 * Participant 0 and the cleaner may be killed. Participant 2 is never killed and acts in single steps.
 *
 * With -DEVICT the producer of a full lane, or without a free block, evicts the consumer instead (section 7.5), at any moment: a consumer that
 * stands still is one that takes no step. It finds out, lets go of what it holds, and joins again.
 *
 * Properties as in pool.pml.
 */
#define WRAP 4
#define START 3
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef KILLS
#define KILLS 7           /* bit 0 producer, bit 1 consumer, bit 2 cleaner */
#endif
#ifndef FROM
#define FROM 0            /* kills and leaves only once so many messages were begun */
#endif
#ifndef LEAVES
#define LEAVES 1
#endif

#define P 1               /* bits in holders */
#define Q 2
#define R 4
#define USED ((tail + WRAP - head) % WRAP)
#define NEXT(i) (((i) + 1) % WRAP)
#define AT(i) ((i) & 1)

/* consumer owner: generation * 4 + 0 nobody, 1 participant 1 is attached, 2 it is being evicted, 3 it is joining or leaving (busy) */
#define ACTIVE(o) (((o) & 3) == 1)
#define BUMP(o, who) ((((o) >> 2) + 1) * 4 + (who))

byte holders[2], generation[2], content[2];
byte tail = START, prepared = START, head = START, owner;
bit claim;                /* the head's low bit: always read and written with head in one step */
byte slotBlock[2], slotGeneration[2], slotOwner[2], slotMessage[2];
bit section;              /* of participant 0: 1 is odd */
bit ended;
byte inbox, inboxMessage; /* what participant 2 forwarded: block + 1 */

chan kill[3] = [0] of { bit };
bit dead[2], done[3], cleaning;
bit swept;                /* participant 1's phase is swept: the next one must find it quiet */
bit present;              /* participant 1 is live: it may be sent to, whether it has joined the lane or not */
byte crashes, leaves, messages;

#define HOLDS(bits, s) ((holders[slotBlock[s]] & (bits)) && slotGeneration[s] == generation[slotBlock[s]])

inline takeBack(s) {
  atomic { if
  :: HOLDS(Q, s) -> taken = slotBlock[s] + 1;
#ifdef BUG_CLEAR_INSTEAD_OF_TAKE_BACK
    holders[slotBlock[s]] = holders[slotBlock[s]] & ~Q
#else
    holders[slotBlock[s]] = (holders[slotBlock[s]] & ~Q) | P
#endif
  :: else
  fi }
}

inline dropOldest() {
#ifdef BUG_OWNER_BEFORE_SECTION
  known = owner;
  section = 1;
#else
  section = 1;                                                /* fence */
  known = owner;
#endif
  if
  :: !ACTIVE(known)
  :: else ->
    i = head;                                                 /* a claimed head would be our own: there is none */
    if
    :: tail == i
#ifndef BUG_TAKE_BACK_STALE
    :: tail != i && slotOwner[AT(i)] != known -> atomic { if :: head == i -> head = NEXT(i) :: else fi } /* stale: no claim */
    :: tail != i && slotOwner[AT(i)] == known ->
#else
    :: tail != i ->
#endif
#ifdef BUG_NO_CLAIM
      atomic { if :: head == i -> head = NEXT(i); won = 1 :: else fi };
      if
      :: won -> takeBack(AT(i))
      :: else
      fi
#else
      atomic { if :: head == i -> claim = 1; won = 1 :: else fi };      /* CAS (i, 0) -> (i, 1) */
      if
      :: won -> takeBack(AT(i)); atomic { head = NEXT(i); claim = 0 }
      :: else
      fi
#endif
    fi
  fi;
  atomic { section = 0; known = 0; i = 0; won = 0 };
  if
  :: taken -> atomic { holders[taken - 1] = holders[taken - 1] & ~P; taken = 0 }
  :: else
  fi
}

/* Takes every frame back that is still in the lane and was sent to `known`. */
inline takeAllBack(by) {
  do
  :: i = head;
    if
    :: tail == i -> break
    :: tail != i && slotOwner[AT(i)] != known -> atomic { if :: head == i -> head = NEXT(i) :: else fi }
    :: tail != i && slotOwner[AT(i)] == known ->
#ifdef BUG_EVICT_WITHOUT_CLAIM
      if :: HOLDS(Q, AT(i)) -> holders[slotBlock[AT(i)]] = holders[slotBlock[AT(i)]] & ~Q :: else fi;
      head = NEXT(i)
#else
      atomic { if :: head == i -> claim = 1; won = 1 :: else fi };      /* CAS (i, 0) -> (i, 1) */
      if
      :: won -> takeBack(AT(i)); atomic { head = NEXT(i); claim = 0; won = 0 }
      :: else
      fi;
      if
      :: taken -> atomic { holders[taken - 1] = holders[taken - 1] & ~P; taken = 0 }
      :: else
      fi
#endif
    fi
  od;
  i = 0
}

inline evict() {
  section = 1;
  known = owner;
  if
  :: !ACTIVE(known)
  :: else ->
#ifdef BUG_FREE_AT_ONCE
    atomic { if :: owner == known -> owner = BUMP(owner, 0); won = 1 :: else fi };
#else
    atomic { if :: owner == known -> owner = BUMP(owner, 2); won = 1 :: else fi };
#endif
    if
    :: won -> won = 0; takeAllBack(P);
#ifndef BUG_FREE_AT_ONCE
      owner = BUMP(owner, 0)
#endif
    :: else
    fi
  fi;
  atomic { section = 0; known = 0; i = 0; won = 0 }
}

#ifdef EVICT
#define makeRoom() evict()
#else
#define makeRoom() dropOldest()
#endif

active proctype Producer() {
  byte known, i, b, receivers, taken;
  bit won;
  do
  :: {
      do
      :: messages < MESSAGES ->
        do
        :: atomic { holders[0] == 0 -> holders[0] = P; b = 0; break }
        :: atomic { holders[1] == 0 -> holders[1] = P; b = 1; break }
        :: holders[0] && holders[1] && head != tail && ACTIVE(owner) -> makeRoom()
        od;
        atomic { generation[b]++; content[b] = messages; messages++ };
        do                                                    /* 7.1 step 1; participant 2 may receive too */
        :: atomic { !ACTIVE(owner) -> known = 0; if :: receivers = 0 :: receivers = R fi; break }
        :: atomic { ACTIVE(owner) && USED < 2 -> known = owner; if :: receivers = Q :: receivers = Q | R fi; break }
        :: ACTIVE(owner) && USED == 2 -> makeRoom()
        od;
        if
        :: known -> d_step { slotBlock[AT(tail)] = b; slotGeneration[AT(tail)] = generation[b]; slotOwner[AT(tail)] = known; slotMessage[AT(tail)] = content[b]; prepared = NEXT(tail) }
        :: else
        fi;
        atomic { assert(holders[b] == P); holders[b] = holders[b] | receivers; receivers = 0 };
        if
        :: known && owner != known -> holders[b] = holders[b] & ~Q; atomic { prepared = tail; known = 0 }
        :: else
        fi;
        if
        :: known -> tail = NEXT(tail)
        :: else
        fi;
        atomic { holders[b] = holders[b] & ~P; b = 0; known = 0 }
      :: else -> break
      od;
      ended = 1;
      done[0] = 1;
      break
    } unless {
      atomic { kill[0] ? 0 -> dead[0] = 1; known = 0; i = 0; b = 0; receivers = 0; taken = 0; won = 0 }
    };
    atomic { !dead[0] -> done[0] = 1; break }
  od
}

inline sweepQ() {
  holders[0] = holders[0] & ~Q;
  holders[1] = holders[1] & ~Q
}

#define CHECK(b) assert((holders[b] & Q) && content[b] == message[b])

active proctype Consumer() {
  byte using, message[2], mine, t, h, b, g, o, m;
  do
  :: {
      /* the participant's join: swept and quiet */
      if
#ifdef BUG_NO_QUIESCENCE
      :: true
#else
#ifdef BUG_QUIET_ONLY_LIVE
      :: !swept || section == 0 || dead[0]
#else
      :: !swept || section == 0
#endif
#endif
      fi;
      atomic { swept = 0; inbox = 0; inboxMessage = 0; present = 1 };
rejoin:
      atomic { (owner & 3) == 0 -> owner = BUMP(owner, 3) };
      do                                                      /* head = tail by CAS from an unclaimed value */
      :: atomic { !claim -> t = tail; h = head };
        if
        :: atomic { head == h && !claim -> head = t; break }
        :: atomic { else -> skip }
        fi
      od;
      atomic { t = 0; h = 0; owner = BUMP(owner, 1); mine = owner };
      do
      :: atomic { head != tail && !claim -> h = head;
#ifdef BUG_COPY_AFTER_CLAIM
        };
#else
        t = AT(h); b = slotBlock[t]; g = slotGeneration[t]; o = slotOwner[t]; m = slotMessage[t]; t = 0 };
#endif
        if
#ifdef EVICT
        :: atomic { o != mine && owner != mine -> h = 0; b = 0; g = 0; o = 0; m = 0; goto evicted };
        :: o == mine || owner == mine ->
        fi;
        if
#endif
        :: atomic { head == h && !claim ->
            head = NEXT(h) };                                 /* CAS (i, 0) -> (i + 1, 0) */
#ifdef BUG_COPY_AFTER_CLAIM
          atomic { t = AT(h); b = slotBlock[t]; g = slotGeneration[t]; o = slotOwner[t]; m = slotMessage[t]; t = 0 };
#endif
          atomic {
            if
            :: (holders[b] & Q) && generation[b] == g && o == mine ->
              assert(!(using & (1 << b)));
              assert(content[b] == m);
              using = using | (1 << b); message[b] = m
            :: else
            fi;
            h = 0; b = 0; g = 0; o = 0; m = 0 }
        :: atomic { head != h || claim -> h = 0; b = 0; g = 0; o = 0; m = 0 }
        fi
      :: atomic { inbox -> b = inbox - 1; assert(!(using & (1 << b))); using = using | (1 << b); message[b] = inboxMessage; inbox = 0; inboxMessage = 0; CHECK(b); b = 0 }
      :: atomic { using -> if :: (using & 1) -> b = 0 :: (using & 2) -> b = 1 fi; CHECK(b); using = using & ~(1 << b); message[b] = 0; holders[b] = holders[b] & ~Q; b = 0 }
      :: atomic { owner != mine -> skip };                    /* evicted; what it holds it keeps for now */
evicted:
        mine = 0;
        do
        :: atomic { using -> if :: (using & 1) -> b = 0 :: (using & 2) -> b = 1 fi; CHECK(b); using = using & ~(1 << b); message[b] = 0; holders[b] = holders[b] & ~Q; b = 0 }
        :: atomic { inbox -> b = inbox - 1; assert(!(using & (1 << b))); using = using | (1 << b); message[b] = inboxMessage; inbox = 0; inboxMessage = 0; CHECK(b); b = 0 }
        :: atomic { !using && !inbox -> break }
        od;
        goto rejoin
      :: atomic { leaves < LEAVES && messages >= FROM && !using && !inbox && owner == mine -> leaves++;    /* leave the lane, alive */
        owner = BUMP(owner, 3) };
        do
        :: atomic { prepared == tail && !claim -> t = tail; h = head };
          if
          :: atomic { head == h && !claim -> head = t; break }
          :: atomic { head != h || claim -> skip }
          fi
        od;
        do
        :: h != t ->
          if
          :: HOLDS(Q, AT(h)) && slotOwner[AT(h)] == mine -> holders[slotBlock[AT(h)]] = holders[slotBlock[AT(h)]] & ~Q
          :: else
          fi;
          h = NEXT(h)
        :: else -> break
        od;
        atomic { t = 0; h = 0; mine = 0; owner = BUMP(owner, 0) };
        goto rejoin
      :: atomic { leaves < LEAVES && messages >= FROM && !inbox -> leaves++ };              /* leave altogether; another takes the index */
        atomic { using = 0; message[0] = 0; message[1] = 0; present = 0; if :: owner == mine -> owner = BUMP(owner, 0) :: else fi; mine = 0 };
        sweepQ();
#ifndef BUG_LEAVE_FREE
        swept = 1;
#endif
        break
      :: atomic { ended && done[2] && head == tail && !claim && !inbox && !using && owner == mine ->
          assert(!((holders[0] | holders[1]) & Q)); done[1] = 1; present = 0; owner = BUMP(owner, 0); goto finished }
      od
    } unless {
      atomic { kill[1] ? 0 -> dead[1] = 1; present = 0; using = 0; message[0] = 0; message[1] = 0; mine = 0; t = 0; h = 0; b = 0; g = 0; o = 0; m = 0 }
    };
    !dead[1]
  od;
finished:
  skip
}

/* Participant 2: the frame's bytes are read in the same step */
active proctype Other() {
  do
  :: atomic { holders[0] == R && present && !dead[1] && !inbox -> inboxMessage = content[0]; holders[0] = Q; inbox = 1 }
  :: atomic { holders[1] == R && present && !dead[1] && !inbox -> inboxMessage = content[1]; holders[1] = Q; inbox = 2 }
  :: atomic { (holders[0] & R) -> holders[0] = holders[0] & ~R }
  :: atomic { (holders[1] & R) -> holders[1] = holders[1] & ~R }
  :: atomic { ended && !((holders[0] | holders[1]) & R) -> done[2] = 1; break }
  od
}

active proctype Cleaner() {
  byte s, taken, i, known;
  bit won;
end:
  do
  :: {
end1: do
      :: dead[0] ->
        cleaning = 1;
        if                                                    /* step 4: the claimed head */
        :: claim ->
#ifdef BUG_CLEANER_HEAD_FIRST
          atomic { s = AT(head); head = NEXT(head); claim = 0 };
#else
          s = AT(head);
#endif
          takeBack(s); taken = 0;                             /* nothing, if it was taken back before */
#ifdef BUG_CLEANER_HEAD_FIRST
          s = 0
#else
          atomic { s = 0; head = NEXT(head); claim = 0 }
#endif
        :: else
        fi;
        if
        :: prepared != tail && HOLDS(P, AT(tail)) -> holders[slotBlock[AT(tail)]] = holders[slotBlock[AT(tail)]] & ~Q
        :: else
        fi;
        prepared = tail;
#ifdef EVICT
        if
        :: (owner & 3) == 2 ->
#ifndef BUG_CLEANER_FORGETS_EVICTION
          known = (((owner >> 2) - 1) * 4 + 1);
          takeAllBack(P);
          known = 0;
#endif
          owner = BUMP(owner, 0)
        :: else
        fi;
#endif
#ifndef BUG_SECTION_LEFT_ODD
        section = 0;
#endif
        ended = 1;
        holders[0] = holders[0] & ~P;
        holders[1] = holders[1] & ~P;
        atomic { dead[0] = 0; cleaning = 0 }
      :: dead[1] ->
        cleaning = 1;
        if
        :: (owner & 1) -> owner = BUMP(owner, 0)
        :: else
        fi;
        sweepQ();
        atomic { swept = 1; dead[1] = 0; cleaning = 0 }
      od
    } unless { atomic { kill[2] ? 0 -> cleaning = 0; s = 0; taken = 0; i = 0; known = 0; won = 0 } }
  od
}

active proctype Killer() {
  do
  :: atomic { (KILLS & 1) && crashes < CRASHES && messages >= FROM && !done[0] && !dead[0] -> crashes++; end0: kill[0] ! 0 }
  :: atomic { (KILLS & 2) && crashes < CRASHES && messages >= FROM && !done[1] && !dead[1] -> crashes++; end1: kill[1] ! 0 }
  :: atomic { (KILLS & 4) && crashes < CRASHES && messages >= FROM && cleaning -> crashes++; end2: kill[2] ! 0 }
  :: break
  od
}

active proctype Monitor() {
  atomic { done[0] && done[1] && done[2] && !dead[0] && !dead[1] -> assert(holders[0] == 0 && holders[1] == 0) }
}
