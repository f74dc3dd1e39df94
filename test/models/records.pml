/*
 * Records (PROTOCOL section 12): claim, cursors, join, leave, evict, death, history; with -DLOSSY a reader without a cursor.
 *
 * Memory is CELLS cells; message s takes 1 or 2 of them, and a padding cell comes where 2 do not fit before the end. Every cell
 * written, every word read is a step. Two consumers share the CURSORS cursors; a producer that dies has a successor; a dead
 * consumer comes again. Sequentially consistent. Finding a record (12.3) is one step, for what it finds may be stale at once anyway.
 */
#define CELLS 4
#define WRAP 16           /* stands for 2^32 */
#define START 14          /* first position, next to the wrap */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CURSORS
#define CURSORS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef STAYS
#define STAYS 1           /* how often each consumer joins */
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef EVICTIONS
#define EVICTIONS 0
#endif
#ifndef FIRST_LONG
#define FIRST_LONG 0
#endif

#define BEHIND(a, b) ((a + WRAP - b) % WRAP)
#define SIZE(s) (1 + ((s + FIRST_LONG) % 2))
#define HEADER(s) (4 * (s) + SIZE(s))
#define PAYLOAD(s) (4 * (s))
#define PADDING 3

byte cell[CELLS];
byte tail = START, claim = START;
byte markTail[2] = START, markSequence[2];
byte place[8];            /* index: position of message s */
bit ended;
byte owner[CURSORS];      /* 8 * generation + 4 * busy + (consumer + 1); low two bits 0: nobody */
byte cursor[CURSORS] = START;
byte crashes, evictions, finishedConsumers;
bit kill[3], dead[3];     /* the consumers, then the producer */
bit finished[3];
#define P 2

#define WHO(o) ((o) & 3)
#define BUSY(o) ((o) & 4)
#define NEXT(o) (((o) & 24) + 8) & 31

inline publish() {
  if
  :: w == t
  :: else ->
#ifdef BUG_ONE_MARK
    m = 0;
#endif
    markSequence[m] = n;
    markTail[m] = w;
    tail = w;
    d_step { m = 1 - m; t = w }
  fi
}

/* The oldest cursor that counts, as bytes behind the tail. Owner and cursor are two reads. */
inline scan() {
  d_step { oldest = 0; gating = CURSORS; k = 0 };
  do
  :: k < CURSORS ->
    o = owner[k];
    if
    :: WHO(o) == 0 || BUSY(o)
    :: else ->
      d_step {
        d = BEHIND(t, cursor[k]);
        if
        :: d <= CELLS && d >= oldest -> oldest = d; gating = k; gatingOwner = o
        :: else
        fi
      }
    fi;
    d_step { k++; o = 0; d = 0 }
  :: else -> k = 0; break
  od;
  skip                      /* no jump into a caller's d_step */
}

active proctype Producer() {
  byte t, w, n, c, lim, need, oldest, gating, gatingOwner, goal, k, o, d;
  bit m;
  do
  :: {
      d_step {
        t = tail; w = t; lim = t; c = claim; ended = 0;
        if
        :: markTail[0] == t -> n = markSequence[0]; m = 1
        :: else -> assert(markTail[1] == t); n = markSequence[1]; m = 0
        fi
      };
      do
      :: n == MESSAGES -> break
      :: n < MESSAGES ->
        need = SIZE(n) + ((w % CELLS) + SIZE(n) > CELLS -> 1 : 0);
        if
        :: BEHIND(lim, w) < need ->                          /* refresh */
          publish();
#ifdef LOSSY
          d_step { goal = BEHIND((w + need + 1), t); goal = (t + (goal > CELLS -> CELLS : goal)) % WRAP };
#ifndef BUG_CLAIM_AFTER_BYTES
          claim = goal;
#endif
          d_step { c = goal; lim = goal };
#else
          scan();
          d_step {
            goal = (t + WRAP - oldest + CELLS) % WRAP;
#ifdef HISTORY
            if                                                /* the last message is a gate while nobody waits for it */
            :: n > 0 && BEHIND(goal, t) > CELLS - BEHIND(t, place[n - 1]) ->
              d = (place[n - 1] + CELLS) % WRAP;
              if
              :: BEHIND(d, w) >= need -> goal = d
              :: BEHIND(goal, w) >= need -> goal = (w + need) % WRAP
              :: else
              fi;
              d = 0
            :: else
            fi
#endif
          };
          if
          :: BEHIND(goal, c) != 0 && BEHIND(goal, c) <= CELLS ->
            claim = goal; c = goal;
#ifndef BUG_NO_SECOND_SCAN
            scan()
#endif
          :: else
          fi;
          d_step { lim = (t + WRAP - oldest + CELLS) % WRAP; if :: BEHIND(goal, t) < BEHIND(lim, t) -> lim = goal :: else fi };
          if
          :: BEHIND(lim, w) < need && gating < CURSORS && evictions < EVICTIONS ->
            if
            :: atomic { owner[gating] == gatingOwner ->
#ifdef BUG_EVICTED_PLACE_FREE
                owner[gating] = NEXT(gatingOwner);
#else
                owner[gating] = owner[gating] | 4;
#endif
                evictions++ }
            :: owner[gating] != gatingOwner
            :: true                                           /* or waits on */
            fi
          :: BEHIND(lim, w) < need && gating < CURSORS ->     /* asleep until that consumer moves */
            owner[gating] != gatingOwner || BEHIND(t, cursor[gating]) != oldest
          :: else
          fi;
#endif
          d_step { oldest = 0; gating = 0; gatingOwner = 0; goal = 0 }
        :: else ->                                            /* write in place */
          if
          :: need > SIZE(n) -> cell[w % CELLS] = PADDING; w = (w + 1) % WRAP
          :: else
          fi;
          cell[w % CELLS] = HEADER(n);
          if
          :: SIZE(n) == 2 -> cell[(w + 1) % CELLS] = PAYLOAD(n)
          :: else
          fi;
#ifdef BUG_CLAIM_AFTER_BYTES
          claim = c;
#endif
          d_step { place[n] = w; w = (w + SIZE(n)) % WRAP; n++ };
          if
          :: publish()
          :: n < MESSAGES && BEHIND(w, t) < 2                 /* a burst goes on */
          fi
        fi
      od;
      publish();
      ended = 1;
      finished[P] = 1;
      break
    } unless {
      atomic { kill[P] -> kill[P] = 0; dead[P] = 1; t = 0; w = 0; n = 0; c = 0; lim = 0; need = 0; oldest = 0; gating = 0; gatingOwner = 0; goal = 0; k = 0; o = 0; d = 0; m = 0 }
    };
    dead[P] = 0                                               /* recovered; another one attaches */
  od
}

/* Finding a record: tail, its sequence, and with history perhaps the one before. */
inline locate() {
  d_step {
    p = tail;
    if :: markTail[0] == p -> s = markSequence[0] :: else -> s = markSequence[1] fi
#ifdef HISTORY
    ;
    if
    :: s > 0 && BEHIND(claim, place[s - 1]) <= CELLS && BEHIND(p, place[s - 1]) <= CELLS -> s--; p = place[s]
    :: else
    fi
#endif
  }
}

#ifndef LOSSY
active [CONSUMERS] proctype Consumer() {
  byte me, k, mine, p, s, h, x, e;
  byte stays;
  do
  :: {
      me = _pid - 1;
      do
      :: stays == STAYS -> break
      :: stays < STAYS ->
        stays++;
        atomic {                                              /* a free cursor, or none for ever: then it is over */
          k = 0;
          do
          :: k < CURSORS && WHO(owner[k]) != 0 -> k++
          :: else -> break
          od;
          if
          :: k < CURSORS -> mine = (NEXT(owner[k])) + me + 1; owner[k] = mine | 4
          :: else
          fi
        };
        if
        :: k == CURSORS -> goto left
        :: else
        fi;
        locate();
        cursor[k] = p;
        owner[k] = mine;
        do
#ifdef BUG_JOIN_WITHOUT_LOOK
        :: true -> break
#else
        :: BEHIND(claim, p) <= CELLS -> break
        :: else -> locate(); cursor[k] = p
#endif
        od;
        e = p;
        do
        :: tail == p ->
          if
          :: ended && tail == p -> assert(s == MESSAGES); break
          :: tail != p || owner[k] != mine
          :: break                                            /* leaves early */
          fi;
          if
          :: owner[k] != mine -> goto evicted
          :: else
          fi
        :: tail != p ->
          h = cell[p % CELLS];
          if :: owner[k] != mine -> goto evicted :: else fi;
          if
          :: h == PADDING -> p = (p + 1) % WRAP
          :: else ->
            assert(h == HEADER(s));                           /* in order, nothing lost, nothing torn */
            if
            :: SIZE(s) == 2 -> x = cell[(p + 1) % CELLS]
            :: else -> x = PAYLOAD(s)
            fi;
#ifndef BUG_EVICTED_BELIEVES
            if :: owner[k] != mine -> goto evicted :: else fi;
#endif
            assert(x == PAYLOAD(s));
            d_step { p = (p + SIZE(s)) % WRAP; s++; h = 0; x = 0 };
            if
            :: e != p ->
              if :: owner[k] != mine -> goto evicted :: else fi;
              cursor[k] = p; e = p
            :: s < MESSAGES                                   /* a burst goes on */
            fi
          fi
        od;
evicted:
        skip;
        d_step {                                              /* leaves, or says that it knows */
          if
          :: (owner[k] & 27) == (mine & 27) -> owner[k] = NEXT(owner[k])
          :: else
          fi
        };
left:
        skip;
        d_step { k = 0; mine = 0; p = 0; s = 0; h = 0; x = 0; e = 0 }
      od;
      finished[me] = 1;
      break
    } unless {
      atomic { kill[_pid - 1] -> kill[_pid - 1] = 0; dead[_pid - 1] = 1; k = 0; mine = 0; p = 0; s = 0; h = 0; x = 0; e = 0; me = 0; stays = 0 }
    };
    atomic {                                                  /* recovered, section 12.5; it comes again */
      k = 0;
      do
      :: k < CURSORS -> if :: WHO(owner[k]) == _pid -> owner[k] = NEXT(owner[k]) :: else fi; k++
      :: else -> k = 0; break
      od;
      dead[_pid - 1] = 0
    }
  od
}
#else
active proctype Reader() {
  byte p, s, h, x, got, missed, first;
  locate();
  first = s;
  do
  :: tail == p ->
    if
    :: ended && tail == p -> break
    :: tail != p || ended
    fi
  :: tail != p ->
    h = cell[p % CELLS];
    if
#ifndef BUG_HEADER_BELIEVED
    :: BEHIND(claim, p) > CELLS -> x = s; locate(); s = x     /* lapped */
    :: BEHIND(claim, p) <= CELLS && h == PADDING -> p = (p + 1) % WRAP
    :: BEHIND(claim, p) <= CELLS && h != PADDING ->
#else
    :: h == PADDING -> p = (p + 1) % WRAP
    :: h != PADDING ->
#endif
      assert(h % 4 == 1 || h % 4 == 2);                       /* a header, */
      assert(h / 4 >= s);                                     /* of a message that is due or later, */
      d_step { missed = missed + h / 4 - s; s = h / 4 };
      assert(h == HEADER(s) && s < MESSAGES);                 /* and whole */
      if
      :: SIZE(s) == 2 -> x = cell[(p + 1) % CELLS]
      :: else -> x = PAYLOAD(s)
      fi;
      if
#ifndef BUG_NO_LOOK_BEHIND
      :: BEHIND(claim, p) > CELLS -> x = s; locate(); s = x
      :: BEHIND(claim, p) <= CELLS ->
#else
      :: true ->
#endif
        assert(x == PAYLOAD(s));
        d_step { p = (p + SIZE(s)) % WRAP; s++; got++; assert(got + missed == s - first) }
      fi
    fi
  od
}
#endif

active proctype Killer() {
  do
  :: atomic { crashes < CRASHES && !finished[P] && !dead[P] -> crashes++; kill[P] = 1 }; !kill[P] || finished[P]
#ifndef LOSSY
  :: atomic { crashes < CRASHES && !finished[0] && !dead[0] -> crashes++; kill[0] = 1 }; !kill[0] || finished[0]
#endif
  :: break
  od
}
