/*
 * History of a channel (PROTOCOL section 7.6) with what it touches of 6, 7.1, 7.2 and 8.
 *
 * Participant 0 sends to one lane and keeps the last N frames. Participant 1 joins, takes the history, receives, leaves, and joins again.
 * Participant 2 loans blocks for itself. 0, 1 and the cleaner may be killed before any statement; with -DREBIRTH a successor of 0 uses its
 * very index as soon as section 8 step 8 allows it. One statement touches one shared word (a slot counts as one: nobody reads it before an index says so,
 * or whoever does looks at `head` afterwards; it is read in one step, too).
 *
 * Properties: nobody loses its bit or its bytes while it holds a block (check); an exclusive holder is exclusive (send); frames come in order,
 * once, without a hole, and the last N first (deliver, receive); nothing leaks (Monitor); nobody waits for ever (invalid end states).
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef STAYS
#define STAYS 1
#endif
#ifndef N
#define N 1
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef KILLS
#define KILLS 7           /* bit 0 the producer, bit 1 the consumer, bit 2 the cleaner */
#endif
#ifndef OTHERS
#define OTHERS 0          /* loans of participant 2 */
#endif

#define NONE 15
#define BIT(p) (1 << (p))
#define WHO(o) ((o) & 3)
#define BUSY 4
#define ACTIVE(o) (WHO(o) != 0 && !((o) & BUSY))
#define BUMP(o, who) ((((o) >> 3) + 1) * 8 + (who))
#define WANTED(b) (takers && wanted == (b) + 1)

byte holders[BLOCKS], generation[BLOCKS], content[BLOCKS];
/* the lane: as long as there are messages, it is never full */
byte tail, prepared, head, owner;
byte slotBlock[MESSAGES + 1], slotGeneration[MESSAGES + 1], slotOwner[MESSAGES + 1], slotMessage[MESSAGES + 1];
/* the channel and its history */
byte producer, sending, historyTail, historyHead, ended;
byte keptBlock[N], keptGeneration[N], keptMessage[N], keptNumber[N];
bit takers;
byte section, wanted;     /* of participant 1 */

chan kill[3] = [0] of { bit };
bit dead[2], done[3], cleaning;
byte crashes;
byte messages;            /* ghost: begun */
byte finished;            /* ghost: sends that are over */
bit everDied;             /* ghost: a producer did */

/* ---- participant 0 ---- */
inline letGo(d) {
  if
#ifdef BUG_NO_WANTED
  :: true -> holders[d] = holders[d] & ~BIT(0)
#else
  :: atomic { !WANTED(d) -> skip }; holders[d] = holders[d] & ~BIT(0)
  :: atomic { WANTED(d) -> late = d }
#endif
  fi
}

inline keep(b, m) {
#ifndef BUG_LET_GO_BEFORE_HEAD
  atomic { if :: historyTail - historyHead == N -> fallen = mine[historyHead % N]; historyHead++ :: else fi };
#else
  if
  :: historyTail - historyHead == N -> fallen = mine[historyHead % N]; letGo(fallen); historyHead++; fallen = NONE
  :: else
  fi;
#endif
  d_step { keptBlock[historyTail % N] = b; keptGeneration[historyTail % N] = generation[b]; keptMessage[historyTail % N] = m;
    keptNumber[historyTail % N] = historyTail; mine[historyTail % N] = b };
  historyTail++;
  atomic { if :: late != NONE && !WANTED(late) -> holders[late] = holders[late] & ~BIT(0); late = NONE :: else fi };
  if
  :: fallen != NONE ->
#ifdef BUG_LATE_FORGOTTEN
    letGo(fallen); late = NONE;
#else
    late == NONE || !WANTED(late);                            /* here one place for late blocks is enough */
    if :: late != NONE -> atomic { holders[late] = holders[late] & ~BIT(0); late = NONE } :: else fi;
    letGo(fallen);
#endif
    fallen = NONE
  :: else
  fi
}

inline send(b, m) {
  sending++;                                                  /* odd */
  atomic { if :: ACTIVE(owner) -> known = owner :: else -> known = 0 fi };
  assert(holders[b] == BIT(0));
  if
  :: known ->
    d_step { slotBlock[tail] = b; slotGeneration[tail] = generation[b]; slotOwner[tail] = known; slotMessage[tail] = m; prepared = tail + 1 };
    atomic { assert(holders[b] == BIT(0)); holders[b] = BIT(0) | BIT(1) };
#ifdef BUG_KEPT_BEFORE_PUBLISHED
    keep(b, m);
#endif
    if
    :: atomic { owner == known -> skip }; tail = tail + 1
    :: atomic { owner != known -> skip }; holders[b] = holders[b] & ~BIT(1); prepared = tail
    fi
  :: else
#ifdef BUG_KEPT_BEFORE_PUBLISHED
    -> keep(b, m)
#endif
  fi;
#ifndef BUG_KEPT_BEFORE_PUBLISHED
  keep(b, m);
#endif
  atomic { sending++; known = 0; finished = m + 1 }
}

inline loan() {
  if
  :: atomic { holders[0] == 0 -> holders[0] = BIT(0); b = 0 }
  :: atomic { holders[1] == 0 -> holders[1] = BIT(0); b = 1 }
#if BLOCKS > 2
  :: atomic { holders[2] == 0 -> holders[2] = BIT(0); b = 2 }
#endif
  :: atomic { late != NONE && !WANTED(late) -> holders[late] = holders[late] & ~BIT(0); late = NONE }
  fi
}

active proctype Producer() {
  byte known, b = NONE, late = NONE, fallen = NONE, mine[N], m;
  do
  :: {
      atomic { producer == 0 -> producer = 1 };
      historyHead = historyTail;
      if :: sending & 1 -> sending++ :: else fi;
      ended = 0;
      do
      :: messages < MESSAGES ->
        do :: b == NONE -> loan() :: else -> break od;
        generation[b]++;
        atomic { content[b] = messages; m = messages; messages++ };
        send(b, m);
        atomic { b = NONE; m = 0 }
      :: else -> break
      od;
      ended = 1;
      fallen = historyHead;
      historyHead = historyTail;
      do
      :: fallen != historyTail -> b = mine[fallen % N]; !WANTED(b); atomic { holders[b] = holders[b] & ~BIT(0); fallen++ }
      :: else -> atomic { fallen = NONE; b = NONE; break }
      od;
      if :: late != NONE -> !WANTED(late); atomic { holders[late] = holders[late] & ~BIT(0); late = NONE } :: else fi;
      producer = 0;
      done[0] = 1;
      break
    } unless {
      atomic { kill[0] ? 0 -> dead[0] = 1; everDied = 1; known = 0; b = NONE; late = NONE; fallen = NONE; m = 0; mine[0] = 0;
#if N > 1
        mine[1] = 0;
#endif
      }
    };
#ifdef REBIRTH
#ifdef BUG_NO_QUIESCENCE
    !dead[0]
#else
    atomic { !dead[0] && !(section & 1) -> skip }             /* section 8 step 8 */
#endif
#else
    atomic { !dead[0] -> done[0] = 1; break }
#endif
  od
}

/* ---- participant 1 ---- */
#define CHECK(b, m) assert((holders[b] & BIT(1)) && content[b] == m)

inline join() {
  atomic { WHO(owner) == 0 -> owner = BUMP(owner, 2) | BUSY; before = finished };
  t = tail;
  head = t;
#ifdef BUG_VISIBLE_AFTERWARDS
  takeHistory();
  atomic { t = 0; owner = BUMP(owner, 2); me = owner };
#else
  atomic { t = 0; owner = BUMP(owner, 2); me = owner };
  takeHistory();
#endif
  after = (ended -> 0 : messages)                             /* a history that ends meanwhile need not be whole */
}

inline takeHistory() {
#ifndef BUG_SENDING_IGNORED
  t = sending;
  if :: t & 1 -> sending != t :: else fi;                     /* 1 */
#endif
  t = historyTail;                                            /* 2 */
  atomic { first = NONE; if :: head != tail && slotOwner[head] == me -> first = slotMessage[head] :: head != tail && slotOwner[head] != me && head + 1 != tail -> first = slotMessage[head + 1] :: else fi };
  if
  :: producer ->
    section = 1;                                              /* 3 */
    takers = 1;
    i = t;
    do
    :: i > 0 && t - i < N ->
      d_step { i--; b = keptBlock[i % N]; g = keptGeneration[i % N]; m = keptMessage[i % N]; o = keptNumber[i % N] };
      if
      :: m >= first
      :: else ->
#ifdef BUG_WANTED_AFTER_LOOK
        if :: historyHead > i || o != i -> break :: else fi;
        wanted = b + 1;
#else
        wanted = b + 1;
        if :: historyHead > i || o != i -> break :: else fi;
#endif
        do
        :: h = holders[b];
          if
#ifndef BUG_ANY_HOLDER
          :: !(h & BIT(0)) -> h = NONE; break
#endif
          :: (h & BIT(1)) -> h = 0; break
          :: else ->
            if
            :: atomic { holders[b] == h -> holders[b] = h | BIT(1) }; h = BIT(1); break
            :: atomic { holders[b] != h -> skip }
            fi
          fi
        od;
        if
        :: h == NONE -> break
        :: h == BIT(1) ->
          if
          :: atomic { generation[b] == g -> pending[count] = b; pendingMessage[count] = m; count++ }
          :: atomic { generation[b] != g -> skip }; holders[b] = holders[b] & ~BIT(1); break
          fi
        :: else
        fi
      fi
    :: else -> break
    od;
    wanted = 0;                                               /* 4 */
    takers = 0;
    section = 0
  :: else
  fi;
  atomic { t = 0; i = 0; b = 0; g = 0; m = 0; o = 0; h = 0; first = 0 }
}

/* frames come in order, once, and without a hole (a dead producer may leave one) */
inline deliver(x) {
  assert(last == NONE || x == last + 1 || (everDied && x > last));
  if
  :: last == NONE && !everDied ->
    assert(after <= N || x <= after - N || x == 0);           /* not fewer than N, if there were so many */
    assert(x + N >= before)                                   /* and not more */
  :: else
  fi;
  last = x
}

inline receive() {
  if
  :: atomic { count > 0 -> count--; b = pending[count]; m = pendingMessage[count]; pending[count] = 0; pendingMessage[count] = 0; deliver(m) };
    using = true
  :: atomic { count == 0 && head != tail -> b = slotBlock[head]; g = slotGeneration[head]; o = slotOwner[head]; m = slotMessage[head]; head = head + 1 };
    atomic {
      if
      :: (holders[b] & BIT(1)) && generation[b] == g && o == me -> using = true; deliver(m)
      :: else
      fi;
      g = 0; o = 0 }
  :: atomic { count == 0 && head == tail && last == NONE && !ended && !dead[0] && producer && !everDied -> assert(before == 0) }
  fi;
  if
  :: using -> CHECK(b, m); holders[b] = holders[b] & ~BIT(1); using = false
  :: else
  fi;
  atomic { b = 0; m = 0 }
}

inline leave() {
  do :: count > 0 -> atomic { count--; CHECK(pending[count], pendingMessage[count]) }; holders[pending[count]] = holders[pending[count]] & ~BIT(1); atomic { pending[count] = 0; pendingMessage[count] = 0 } :: else -> break od;
  owner = BUMP(owner, 2) | BUSY;
  prepared == tail;
  do
  :: head != tail ->
    if
    :: (holders[slotBlock[head]] & BIT(1)) && slotGeneration[head] == generation[slotBlock[head]] && slotOwner[head] == me ->
      holders[slotBlock[head]] = holders[slotBlock[head]] & ~BIT(1)
    :: else
    fi;
    head = head + 1
  :: else -> break
  od;
  atomic { me = 0; last = NONE; before = 0; after = 0; owner = BUMP(owner, 0) }
}

active proctype Consumer() {
  byte me, t, i, b, g, m, o, h, first, count, pending[N], pendingMessage[N], last = NONE, before, after, stays;
  bool using;
  do
  :: {
      do
      :: stays < STAYS ->
        stays++;
        join();
        do
        :: receive()
        :: stays < STAYS -> break                             /* any time */
        :: atomic { (ended || done[0]) && head == tail && count == 0 -> break }
        od;
        leave()
      :: else -> break
      od;
      done[1] = 1;
      break
    } unless {
      atomic { kill[1] ? 0 -> dead[1] = 1; me = 0; t = 0; i = 0; b = 0; g = 0; m = 0; o = 0; h = 0; first = 0; count = 0; using = false;
        last = NONE; before = 0; after = 0; pending[0] = 0; pendingMessage[0] = 0;
#if N > 1
        pending[1] = 0; pendingMessage[1] = 0;
#endif
      }
    };
    !dead[1]
  od
}

/* ---- participant 2: loans any free block for itself ---- */
active proctype Other() {
  byte b, others;
  do
  :: others < OTHERS ->
    if
    :: atomic { holders[0] == 0 -> holders[0] = BIT(2); b = 0; others++ }
    :: atomic { holders[1] == 0 -> holders[1] = BIT(2); b = 1; others++ }
    fi;
    generation[b]++;
    content[b] = 14;
    assert(holders[b] == BIT(2));                             /* it may hand it over now */
    assert(content[b] == 14);
    atomic { holders[b] = holders[b] & ~BIT(2); b = 0 }
  :: break
  od;
  done[2] = 1
}

/* ---- section 8 ---- */
inline sweep(x) {
  holders[0] = holders[0] & ~BIT(x);
  holders[1] = holders[1] & ~BIT(x);
#if BLOCKS > 2
  holders[2] = holders[2] & ~BIT(x)
#endif
}

inline recover(x) {
  if
  :: x == 0 && producer ->
    if
    :: prepared != tail ->
      if
      :: (holders[slotBlock[tail]] & BIT(0)) && slotGeneration[tail] == generation[slotBlock[tail]] -> holders[slotBlock[tail]] = holders[slotBlock[tail]] & ~BIT(1)
      :: else
      fi
    :: else
    fi;
    prepared = tail;
    historyHead = historyTail;
#ifndef BUG_CLEANER_LEAVES_SENDING
    if :: sending & 1 -> sending++ :: else fi;
#endif
    if :: ended != 1 -> ended = 2 :: else fi;
    producer = 0
  :: else
  fi;
  if
  :: x == 1 && WHO(owner) == 2 -> owner = BUMP(owner, 0)
  :: else
  fi;
  sweep(x);
  if
#ifndef BUG_CLEANER_LEAVES_WANTED
  :: x == 1 -> wanted = 0; section = 0
#else
  :: x == 1 -> section = 0
#endif
  :: else
  fi
}

active proctype Cleaner() {
end:
  do
  :: {
end1: do
      :: dead[0] -> cleaning = 1; recover(0); atomic { dead[0] = 0; cleaning = 0 }
      :: dead[1] -> cleaning = 1; recover(1); atomic { dead[1] = 0; cleaning = 0 }
      od
    } unless { atomic { kill[2] ? 0 -> cleaning = 0 } }
  od
}

active proctype Killer() {
  do
  :: atomic { (KILLS & 1) && crashes < CRASHES && !done[0] && !dead[0] -> crashes++; end0: kill[0] ! 0 }
  :: atomic { (KILLS & 2) && crashes < CRASHES && !done[1] && !dead[1] -> crashes++; end1: kill[1] ! 0 }
  :: atomic { (KILLS & 4) && crashes < CRASHES && cleaning -> crashes++; end2: kill[2] ! 0 }
  :: break
  od
}

active proctype Monitor() {
  atomic { done[0] && done[1] && done[2] && !dead[0] && !dead[1] ->
    assert(holders[0] == 0 && holders[1] == 0);
#if BLOCKS > 2
    assert(holders[2] == 0)
#endif
  }
}
