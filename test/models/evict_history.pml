/*
 * Eviction from a channel with a history (PROTOCOL sections 7.5 and 7.6, with what they touch of 6, 7.1, 7.2 and 8).
 *
 * Participant 0 sends to two lanes and keeps the last N frames; at any moment between two sends it may evict whoever has a lane, rightly or
 * not. Consumers take the history when they join, hold a frame for as long as they like, whatever becomes of their lane, and once evicted join again on
 * any lane, the other one while theirs is still being emptied. Producer, consumers and cleaner may be killed before any statement.
 * One statement touches one shared word (slots as in history.pml).
 *
 * Properties: nobody loses its bit or its bytes while it holds a block (CHECK); an exclusive holder is exclusive (send); of one stay no frame comes
 * twice, out of order, or not at all (deliver); a joiner leaves out only what it really holds (takeHistory); nothing leaks (Monitor); nobody waits for
 * ever (invalid end states).
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef STAYS
#define STAYS 2           /* of each consumer, at most */
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef KILLS
#define KILLS 7           /* bit 0 the producer, bit 1 consumer 1, bit 2 the cleaner */
#endif
#ifndef FROM
#define FROM 0            /* nobody dies before so many evictions have begun */
#endif
#define N 1
#define LANES 2
#define BLOCKS 2

#define NONE 15
#define BIT(p) (1 << (p))
#define WHO(o) ((o) & 3)
#define BUSY 4
#define EVICTING 8
#define ACTIVE(o) (WHO(o) != 0 && !((o) & (BUSY | EVICTING)))
#define BUMP(o, flags) ((((o) >> 4) + 1) * 16 + (flags))
#define WANTED(b) (wanted[1] == (b) + 1 || wanted[2] == (b) + 1)

byte holders[BLOCKS], generation[BLOCKS], content[BLOCKS];
/* lanes: as long as there are messages, they are never full; head and claim are one word */
byte tail[LANES], prepared[LANES], head[LANES], owner[LANES];
bit claim[LANES];
typedef Slot { byte block, generation, owner, message };
typedef Slots { Slot at[MESSAGES + 1] };
Slots lane[LANES];
/* the channel and its history of one frame */
byte producer, sending, historyTail, historyHead, ended;
byte keptBlock, keptGeneration, keptMessage, keptNumber;
byte wanted[3];

chan kill[4] = [0] of { bit };
bit dead[3], done[3], cleaning;
byte crashes, evictions, messages;
bit everDied;             /* ghost: a producer did */

/* ---- what producer and cleaner do ---- */

/* One slot of an evicting lane: l, its consumer q, its word. before: holders when it was taken back. */
inline takeBack(l, b, g, w, word, before) {
  d_step { b = lane[l].at[head[l]].block; g = lane[l].at[head[l]].generation; w = lane[l].at[head[l]].owner; before = NONE };
  if
  :: w != word -> atomic { if :: !claim[l] && head[l] != tail[l] -> head[l]++ :: else fi }
  :: else ->
    /* the CAS of the head: q may have been faster; then look again */
    if
    :: atomic { !claim[l] && head[l] != tail[l] && lane[l].at[head[l]].block == b && lane[l].at[head[l]].generation == g && lane[l].at[head[l]].owner == w -> claim[l] = 1 };
      finishClaim(l, b, g, w, before)
    :: atomic { claim[l] || head[l] == tail[l] || lane[l].at[head[l]].block != b || lane[l].at[head[l]].generation != g || lane[l].at[head[l]].owner != w -> skip }
    fi
  fi;
  atomic { b = 0; g = 0; w = 0; before = 0 }
}

inline finishClaim(l, b, g, w, before) {
  atomic {
    if
    :: (holders[b] & BIT(WHO(w))) && generation[b] == g -> before = holders[b]; holders[b] = (holders[b] & ~BIT(WHO(w))) | BIT(0)
    :: else
    fi
  };
  atomic { head[l]++; claim[l] = 0 };
#ifdef BUG_RELEASE_KEPT
  if :: before != NONE -> holders[b] = holders[b] & ~BIT(0) :: else fi
#else
  if :: before != NONE && !(before & BIT(0)) -> holders[b] = holders[b] & ~BIT(0) :: else fi
#endif
}

/* ---- participant 0 ---- */
inline letGo(d) {
  if
  :: atomic { !WANTED(d) -> skip }; holders[d] = holders[d] & ~BIT(0)
  :: atomic { WANTED(d) -> late = d }
  fi
}

inline keep(b, m) {
  atomic { if :: historyTail - historyHead == N -> fallen = mine; historyHead++ :: else fi };
  d_step { keptBlock = b; keptGeneration = generation[b]; keptMessage = m; keptNumber = historyTail; mine = b };
  historyTail++;
  atomic { if :: late != NONE && !WANTED(late) -> holders[late] = holders[late] & ~BIT(0); late = NONE :: else fi };
  if
  :: fallen != NONE ->
    late == NONE || !WANTED(late);
    if :: late != NONE -> atomic { holders[late] = holders[late] & ~BIT(0); late = NONE } :: else fi;
    letGo(fallen);
    fallen = NONE
  :: else
  fi
}

inline prepare(l) {
  atomic { if :: ACTIVE(owner[l]) -> known[l] = owner[l] :: else -> known[l] = 0 fi };
  if
  :: known[l] ->
    d_step { lane[l].at[tail[l]].block = b; lane[l].at[tail[l]].generation = generation[b]; lane[l].at[tail[l]].owner = known[l];
      lane[l].at[tail[l]].message = m; prepared[l] = tail[l] + 1 }
  :: else
  fi
}

inline publish(l) {
  if
  :: known[l] ->
    if
    :: atomic { owner[l] == known[l] -> skip }; tail[l]++
    :: atomic { owner[l] != known[l] -> skip }; holders[b] = holders[b] & ~BIT(WHO(known[l])); prepared[l] = tail[l]
    fi
  :: else
  fi
}

inline send() {
  sending++;
  prepare(0);
  prepare(1);
  if :: known[0] && known[1] && WHO(known[0]) == WHO(known[1]) -> prepared[1] = tail[1]; known[1] = 0 :: else fi;
  atomic {
    assert(holders[b] == BIT(0));
    if :: known[0] -> holders[b] = holders[b] | BIT(WHO(known[0])) :: else fi;
    if :: known[1] -> holders[b] = holders[b] | BIT(WHO(known[1])) :: else fi
  };
  publish(0);
  publish(1);
  keep(b, m);
  atomic { sending++; known[0] = 0; known[1] = 0 }
}

inline evict(l) {
#ifndef BUG_NOT_SENDING
  sending++;
#endif
  if
  :: atomic { owner[l] == word -> owner[l] = BUMP(word, WHO(word) | EVICTING) };
#ifdef BUG_FREE_AT_ONCE
    owner[l] = BUMP(owner[l], 0);
#endif
    do
    :: head[l] != tail[l] -> takeBack(l, b, g, w, word, before)
    :: else -> break
    od;
#ifndef BUG_FREE_AT_ONCE
    owner[l] = BUMP(owner[l], 0)
#endif
  :: atomic { owner[l] != word -> skip }
  fi;
#ifndef BUG_NOT_SENDING
  sending++
#endif
}

inline loan() {
  if
  :: atomic { holders[0] == 0 -> holders[0] = BIT(0); b = 0 }
  :: atomic { holders[1] == 0 -> holders[1] = BIT(0); b = 1 }
  :: atomic { late != NONE && !WANTED(late) -> holders[late] = holders[late] & ~BIT(0); late = NONE }
  fi
}

active proctype Producer() {
  byte known[LANES], b, g, w, word, before, late = NONE, fallen = NONE, mine, m;
  {
    producer = 1;
    do
    :: messages < MESSAGES ->
      b = NONE;
      do :: b == NONE -> loan() :: b != NONE -> break od;
      generation[b]++;
      atomic { content[b] = messages; m = messages; messages++ };
      send();
      atomic { b = 0; m = 0 }
    :: atomic { evictions < EVICTIONS && ACTIVE(owner[0]) -> evictions++; word = owner[0] }; evict(0); word = 0
    :: atomic { evictions < EVICTIONS && ACTIVE(owner[1]) -> evictions++; word = owner[1] }; evict(1); word = 0
    :: messages == MESSAGES -> break
    od;
    ended = 1;
    fallen = historyHead;
    historyHead = historyTail;
    if :: fallen != historyTail -> !WANTED(mine); holders[mine] = holders[mine] & ~BIT(0) :: else fi;
    if :: late != NONE -> !WANTED(late); holders[late] = holders[late] & ~BIT(0) :: else fi;
    producer = 0;
    done[0] = 1
  } unless {
    atomic { kill[0] ? 0 -> dead[0] = 1; everDied = 1 };
    !dead[0]; done[0] = 1
  };
  atomic { known[0] = 0; known[1] = 0; b = 0; g = 0; w = 0; word = 0; before = 0; late = 0; fallen = 0; mine = 0; m = 0 }
}

/* ---- consumers ---- */
#define CHECK(b, m) assert((holders[b] & BIT(ME)) && content[b] == m)
#define MINE (owner[l] == me)

inline join() {
  if
  :: atomic { WHO(owner[0]) == 0 && !(owner[0] & EVICTING) -> owner[0] = BUMP(owner[0], ME | BUSY); l = 0 }
  :: atomic { WHO(owner[1]) == 0 && !(owner[1] & EVICTING) -> owner[1] = BUMP(owner[1], ME | BUSY); l = 1 }
  fi;
  t = tail[l];
  atomic { !claim[l] -> head[l] = t; t = 0 };
  atomic { owner[l] = BUMP(owner[l] - 16, ME); me = owner[l] };
  takeHistory()
}

inline takeHistory() {
  t = sending;
  if :: t & 1 -> sending != t :: else fi;                     /* 1 */
  t = historyTail;                                            /* 2 */
  d_step {
    first = NONE;
    i = head[l];
    do
    :: i != tail[l] && first == NONE -> if :: lane[l].at[i].owner == me -> first = lane[l].at[i].message :: else fi; i++
    :: else -> break
    od;
    i = 0
  };
  if
  :: producer && t > 0 ->
    d_step { b = keptBlock; g = keptGeneration; m = keptMessage; i = keptNumber };
    if
    :: m >= first
    :: else ->
      wanted[ME] = b + 1;                                     /* 3 */
      if
      :: historyHead > t - 1 || i != t - 1
      :: else ->
        do
        :: h = holders[b];
          if
          :: !(h & BIT(0)) -> break
          :: (h & BIT(0)) && (h & BIT(ME)) -> assert(held == b); break           /* left out: it is held already */
          :: else ->
            if
            :: atomic { holders[b] == h -> holders[b] = h | BIT(ME) };
              if
              :: atomic { generation[b] == g -> pending = b; pendingMessage = m }
              :: atomic { generation[b] != g -> skip }; holders[b] = holders[b] & ~BIT(ME)
              fi;
              break
            :: atomic { holders[b] != h -> skip }
            fi
          fi
        od
      fi
    fi;
    wanted[ME] = 0                                            /* 4 */
  :: else
  fi;
  atomic { t = 0; i = 0; b = 0; g = 0; m = 0; h = 0; first = 0 }
}

/* within a stay frames come in order, once, and without a hole (a dead producer may leave one) */
inline deliver(x) {
  assert(last == NONE || x == last + 1 || (everDied && x > last));
  last = x
}

inline letGoOfHeld() {
  CHECK(held, heldMessage);
  holders[held] = holders[held] & ~BIT(ME);
  atomic { held = NONE; heldMessage = 0 }
}

/* Copy, then look at whose it is, then the CAS of the head. */
inline receive() {
  d_step { o = head[l]; b = lane[l].at[o].block; g = lane[l].at[o].generation; m = lane[l].at[o].message; w = lane[l].at[o].owner };
  if
  :: w != me && !MINE
  :: else ->
    if
    :: atomic { !claim[l] && head[l] == o -> head[l]++ };
      atomic {
        if
        :: w == me && (holders[b] & BIT(ME)) && generation[b] == g -> deliver(m); held = b; heldMessage = m
        :: else
        fi
      }
    :: atomic { claim[l] || head[l] != o -> skip }
    fi
  fi;
  atomic { o = 0; b = 0; g = 0; m = 0; w = 0 }
}

inline letGoOfPending() {
  if :: pending != NONE -> CHECK(pending, pendingMessage); holders[pending] = holders[pending] & ~BIT(ME); atomic { pending = NONE; pendingMessage = 0 } :: else fi
}

inline leave() {
  letGoOfPending();
  if
  :: atomic { MINE -> owner[l] = me | BUSY };
    prepared[l] == tail[l];
    do
    :: head[l] != tail[l] ->
      d_step { o = head[l]; b = lane[l].at[o].block; g = lane[l].at[o].generation; w = lane[l].at[o].owner };
      if
      :: atomic { !claim[l] && head[l] == o -> head[l]++ };
        if :: w == me && (holders[b] & BIT(ME)) && generation[b] == g -> holders[b] = holders[b] & ~BIT(ME) :: else fi
      :: atomic { claim[l] || head[l] != o -> skip }
      fi
    :: else -> break
    od;
    owner[l] = BUMP(owner[l], 0)
  :: atomic { !MINE -> skip }                                 /* evicted: the lane is the producer's */
  fi;
  atomic { me = 0; l = 0; last = NONE; o = 0; b = 0; g = 0; w = 0 }
}

proctype Consumer(byte ME) {
  byte me, l, t, i, b, g, m, o, w, h, first, held = NONE, heldMessage, pending = NONE, pendingMessage, last = NONE, stays;
  {
    do
    :: stays < STAYS ->
      stays++;
      join();
      do
      :: held != NONE -> letGoOfHeld()                        /* any time, or another time */
      :: held == NONE && pending != NONE -> atomic { deliver(pendingMessage); held = pending; heldMessage = pendingMessage; pending = NONE; pendingMessage = 0 }
      :: held == NONE && pending == NONE && MINE && head[l] != tail[l] && !claim[l] -> receive()
      :: !MINE -> break                                       /* evicted */
      :: stays < STAYS && MINE -> break
      :: atomic { (ended || done[0]) && MINE && head[l] == tail[l] && pending == NONE -> break }
      od;
      leave()
    :: ended || done[0] || stays == STAYS -> break
    od;
    if :: held != NONE -> letGoOfHeld() :: else fi;
    done[ME] = 1
  } unless {
    atomic { kill[ME] ? 0 -> dead[ME] = 1 };
    !dead[ME]; done[ME] = 1
  };
  atomic { me = 0; l = 0; t = 0; i = 0; b = 0; g = 0; m = 0; o = 0; w = 0; h = 0; first = 0; held = 0; heldMessage = 0; pending = 0; pendingMessage = 0; last = 0; stays = 0 }
}

/* ---- section 8 ---- */
#define MAY (crashes < CRASHES && evictions >= FROM)
inline withdraw(l) {
  if
  :: claim[l] ->
    d_step { b = lane[l].at[head[l]].block; g = lane[l].at[head[l]].generation; w = lane[l].at[head[l]].owner; before = BIT(0) };
    finishClaim(l, b, g, w, before)                           /* into the dead one's bit, which is swept */
  :: else
  fi;
  if
  :: prepared[l] != tail[l] ->
    d_step { b = lane[l].at[tail[l]].block; g = lane[l].at[tail[l]].generation; w = lane[l].at[tail[l]].owner };
    if :: (holders[b] & BIT(0)) && generation[b] == g -> holders[b] = holders[b] & ~BIT(WHO(w)) :: else fi
  :: else
  fi;
  prepared[l] = tail[l];
#ifndef BUG_CLEANER_FORGETS_EVICTION
  if
  :: owner[l] & EVICTING ->
    word = BUMP(owner[l], WHO(owner[l])) - 32;                /* the one it was before */
    do
    :: head[l] != tail[l] -> takeBack(l, b, g, w, word, before)
    :: else -> break
    od;
    owner[l] = BUMP(owner[l], 0)
  :: else
  fi;
#endif
  atomic { b = 0; g = 0; w = 0; before = 0; word = 0 }
}

inline sweep(x) {
  holders[0] = holders[0] & ~BIT(x);
  holders[1] = holders[1] & ~BIT(x)
}

inline detach(l) {
  atomic { if :: WHO(owner[l]) == 1 && !(owner[l] & EVICTING) -> owner[l] = BUMP(owner[l], 0) :: else fi }
}

inline recover(x) {
  if
  :: x == 0 && producer ->
    withdraw(0);
    withdraw(1);
    historyHead = historyTail;
    if :: sending & 1 -> sending++ :: else fi;
    if :: ended != 1 -> ended = 2 :: else fi;
    producer = 0
  :: x == 1 -> detach(0); detach(1)
  :: else
  fi;
  sweep(x);
  wanted[1] = (x == 1 -> 0 : wanted[1])
}

active proctype Cleaner() {
  byte b, g, w, word, before;
end:
  do
  :: {
end1: do
      :: dead[0] -> cleaning = 1; recover(0); atomic { dead[0] = 0; cleaning = 0 }
      :: dead[1] -> cleaning = 1; recover(1); atomic { dead[1] = 0; cleaning = 0 }
      od
    } unless { atomic { kill[3] ? 0 -> cleaning = 0; b = 0; g = 0; w = 0; word = 0; before = 0 } }
  od
}

active proctype Killer() {
  do
  :: atomic { (KILLS & 1) && MAY && !done[0] && !dead[0] -> crashes++; end0: kill[0] ! 0 }
  :: atomic { (KILLS & 2) && MAY && !done[1] && !dead[1] -> crashes++; end1: kill[1] ! 0 }
  :: atomic { (KILLS & 4) && MAY && cleaning -> crashes++; end2: kill[3] ! 0 }
  :: break
  od
}

init {
  atomic {
    run Consumer(1);
    if :: CONSUMERS > 1 -> run Consumer(2) :: else -> done[2] = 1 fi
  }
}

active proctype Monitor() {
  atomic { done[0] && done[1] && done[2] && !dead[0] && !dead[1] -> assert((holders[0] | holders[1]) == 0) }
}
