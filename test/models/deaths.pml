/*
 * Who hears of a death, and looks again until it is cleaned up behind (PROTOCOL section 3 "Life file", section 8 "Look again"). Participant 0 waits in its
 * event loop and outlives the others, which begin to wait like it at any time, may die before any statement, and may leave a cleaning unfinished
 * (an error) and never look again. When nothing moves any more everybody who died must have been cleaned up behind.
 *
 * A cleaner that is stopped for ever is not here: nobody can take the byte from it. PATIENCE: who closed its life file before somebody watched lets its locks go,
 * and its cleaner says that it is dying, while that one still looks again; how long that is, is time, which is not here.
 */
#define N 3
#define NOBODY N

bool alive[N] = true;
bool dying[N], swept[N];
bool watching[N];            /* the directory of life files */
byte notices[N];             /* bits: whose life files were closed, unread */
byte suspects[N];
bool again[N];               /* a timer runs */
byte life[N];                /* who holds the life byte: the participant, its cleaner, nobody */
byte cleaner = NOBODY;       /* who holds byte 32 */
byte errors;

#define MAYDIE if :: ME > 0 -> goto dead :: true fi

proctype Participant(byte ME) {
  byte q;
  bool settled, cleaned;

  MAYDIE;
  watching[ME] = 1;
#ifndef BUG_NO_FIRST_LOOK
  again[ME] = 1;
#endif
end_waiting:
  do
  :: notices[ME] != 0 ->
    atomic { suspects[ME] = suspects[ME] | notices[ME]; notices[ME] = 0 };
    goto look
  :: again[ME] -> again[ME] = 0;
look:
    settled = 1;
pass:
    cleaned = 0;
    q = 0;
    do
    :: q == N -> break
    :: q < N && (q == ME || swept[q]) -> q++
#ifdef BUG_ONLY_SUSPECTS
    :: q < N && (suspects[ME] & (1 << q)) == 0 -> q++
#endif
    :: else ->
      if
      :: atomic { life[q] != NOBODY ->
#ifndef BUG_DYING_IS_IN_GOOD_HANDS
          if :: dying[q] -> settled = 0 :: else fi;
#endif
#ifndef BUG_ONE_FIRST_LOOK
          if :: !alive[q] && !dying[q] && (life[q] == q || alive[life[q]]) -> settled = 0 :: else fi;  /* PATIENCE */
#endif
          skip
        }
      :: else ->
        atomic { if :: cleaner == NOBODY -> cleaner = ME :: else fi };
        if
        :: cleaner != ME -> settled = 0
        :: else ->
          MAYDIE;
          atomic { if :: life[q] == NOBODY -> life[q] = ME :: else fi };
          if
          :: life[q] == ME && !swept[q] ->
            MAYDIE;
            dying[q] = 1;
            MAYDIE;
            if
            :: swept[q] = 1; cleaned = 1
            :: errors == 0 -> errors = 1; settled = 0     /* and lets go */
            fi;
            MAYDIE;
            life[q] = NOBODY
          :: life[q] == ME && swept[q] -> life[q] = NOBODY
          :: else -> settled = 0
          fi;
          MAYDIE;
          cleaner = NOBODY
        fi
      fi;
      q++
    od;
#ifndef BUG_ONE_PASS
    if :: cleaned -> settled = 1; goto pass :: else fi;
#endif
    cleaned = 0;
    atomic {
      q = 0;
      do
      :: q == N -> break
      :: else -> if :: swept[q] -> suspects[ME] = suspects[ME] & ~(1 << q) :: else fi; q++
      od;
      q = 0
    };
#ifdef BUG_GIVES_UP
    if :: again[ME] = !settled || suspects[ME] != 0 :: true fi
#else
    again[ME] = !settled || suspects[ME] != 0;
#endif
    if :: ME > 0 -> again[ME] = 0; goto end_elsewhere :: true fi  /* it does something else from now on */
  od;

end_elsewhere:
  if :: ME > 0 :: ME > 0 -> goto end_for_ever fi;

dead:
  skip;                      /* the life file is closed before the locks go */
  atomic {
    alive[ME] = 0;
    q = 0;
    do
    :: q == N -> break
    :: else -> if :: watching[q] && q != ME -> notices[q] = notices[q] | (1 << ME) :: else fi; q++
    od;
    watching[ME] = 0
  };
  atomic {
    q = 0;
    do
    :: q == N -> break
    :: else -> if :: life[q] == ME -> life[q] = NOBODY :: else fi; q++
    od;
    if :: cleaner == ME -> cleaner = NOBODY :: else fi
  };
  goto end_gone;

end_for_ever:
  false;
end_gone:
  skip
}

init {
  atomic { life[0] = 0; life[1] = 1; life[2] = 2 };
  run Participant(0); run Participant(1); run Participant(2);
  timeout ->
  assert(alive[1] || swept[1]);
  assert(alive[2] || swept[2])
}
