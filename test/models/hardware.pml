/*
 * A hardware queue (PROTOCOL section 10): submit, fetch, complete, reap, stop, and what happens to blocks when the host dies.
 *
 * Processes: the host (which may die, and be born again), the cleaner (likewise), the core (fetch, stop, two executors) and its bus, on which
 * every write arrives when it likes, somebody else who loans free blocks for a queue of its own. Host stores to the submission
 * ring reach the device in any order (weakly ordered or non-coherent memory) until a barrier; with -DORDERED in program order. One block per command, as its destination.
 * The device writing a block that is not its own, a completion whose payload is not there, a command that completes twice, a block that leaks, and
 * anybody who waits for ever are the errors.
 */
#ifndef COMMANDS
#define COMMANDS 2        /* that the host wants to see completed, per life */
#endif
#ifndef CRASHES
#define CRASHES 1         /* deaths of host or cleaner */
#endif
#ifndef STOPS
#define STOPS 1           /* deliberate stops with commands under way */
#endif
#ifndef OTHERS
#define OTHERS 1          /* loans by somebody else */
#endif
#define CAPACITY 2
#define BLOCKS 2
#define EXECUTORS 2

#define HOST 1            /* bits of holders */
#define OTHER 2
#define DEVICE 4          /* bit 31 */

#define IDLE 0
#define RUNNING 1
#define STOPPING 2

byte holders[BLOCKS], generation[BLOCKS], held[BLOCKS];
byte content[BLOCKS];     /* 0 or the number of the command that was written into it */

/* queue memory */
byte sqBody[CAPACITY], sqCommand[CAPACITY], sqValid[CAPACITY];
byte cqBody[CAPACITY], cqValid[CAPACITY];
/* host stores on their way to sq; slot, what, value */
byte late[CAPACITY * 2];  /* 2·slot: body, 2·slot + 1: validity; 0 nothing, else value + 1 */
byte lateCommand[CAPACITY];

/* registers: host-written, then device-written */
byte controlEpoch, sqTail, cqHead;
bit enable;
byte state, stateEpoch;
/* the owner's words in the region */
byte epoch;               /* host w0 */
bit open;                 /* host w1 */

/* the core */
bit busy[EXECUTORS];
byte block[EXECUTORS], command[EXECUTORS], forGeneration[EXECUTORS];
bit payloadOut[EXECUTORS], entryOut[EXECUTORS];   /* writes on the bus */
byte payloadBlock[EXECUTORS], payloadCommand[EXECUTORS], payloadGeneration[EXECUTORS];
byte entrySlot[EXECUTORS], entryBody[EXECUTORS], entryValid[EXECUTORS];
bit completing;           /* the one completion unit */
byte fetched, cqTail;

byte crashes, stops, nextCommand;
bit killHost, killCleaner, hostDead, finished;
bit underWay[BLOCKS];     /* ghost: the host waits for this block's command */

#ifdef BUG_NO_EPOCH
#define VALID(e, i) (2 + ((((i) / CAPACITY) + 1) % 2))
#else
#define VALID(e, i) (2 * (e) + ((((i) / CAPACITY) + 1) % 2))
#endif

/* memory takes the host's stores in any order */
active proctype Stores() {
  byte i;
end:
  do
  :: atomic { late[0] -> sqBody[0] = late[0] - 1; sqCommand[0] = lateCommand[0]; lateCommand[0] = 0; late[0] = 0 }
  :: atomic { late[1] -> sqValid[0] = late[1] - 1; late[1] = 0 }
  :: atomic { late[2] -> sqBody[1] = late[2] - 1; sqCommand[1] = lateCommand[1]; lateCommand[1] = 0; late[2] = 0 }
  :: atomic { late[3] -> sqValid[1] = late[3] - 1; late[3] = 0 }
  od
}
#define BARRIER (!late[0] && !late[1] && !late[2] && !late[3])

/* ---- The core ---- */

inline apply(e) {
  atomic {
    payloadOut[e] ->
    assert(holders[payloadBlock[e]] & DEVICE);                          /* not its own any more */
    assert(generation[payloadBlock[e]] == payloadGeneration[e]);        /* nor somebody else's by now */
    content[payloadBlock[e]] = payloadCommand[e];
    payloadOut[e] = 0; payloadBlock[e] = 0; payloadCommand[e] = 0; payloadGeneration[e] = 0
  }
}
inline enter(e) {
#ifdef BUG_TORN_ENTRY
  atomic { entryOut[e] -> cqValid[entrySlot[e]] = entryValid[e] };
  atomic { cqBody[entrySlot[e]] = entryBody[e]; entryOut[e] = 0 }
#else
  atomic { entryOut[e] -> cqBody[entrySlot[e]] = entryBody[e] };
  atomic { cqValid[entrySlot[e]] = entryValid[e]; entryOut[e] = 0; entrySlot[e] = 0; entryBody[e] = 0; entryValid[e] = 0 }
#endif
}
active [EXECUTORS] proctype Bus() {
  byte e;
  e = _pid % EXECUTORS;
end:
  do
  :: payloadOut[e] -> apply(e)
  :: entryOut[e] -> enter(e)
  od
}

active [EXECUTORS] proctype Executor() {
  byte e;
  e = _pid % EXECUTORS;
end:
  do
  :: busy[e] ->
    if
    :: state != RUNNING
    :: state == RUNNING ->
      atomic {
        payloadBlock[e] = block[e]; payloadCommand[e] = command[e]; payloadGeneration[e] = forGeneration[e];
        payloadOut[e] = 1
      };
#ifdef BUG_IDLE_EARLY
      if :: state != RUNNING -> goto over :: else fi;
#endif
#ifndef BUG_COMPLETE_EARLY
      !payloadOut[e];                                                   /* its response */
#endif
      atomic { !completing -> completing = 1 };
      if
      :: state != RUNNING
      :: state == RUNNING ->
        atomic {
          entrySlot[e] = cqTail % CAPACITY; entryBody[e] = block[e]; entryValid[e] = VALID(stateEpoch, cqTail);
          entryOut[e] = 1
        };
        !entryOut[e];
        cqTail++
      fi;
      completing = 0
    fi;
#ifdef BUG_IDLE_EARLY
over:
#endif
    atomic { busy[e] = 0; block[e] = 0; command[e] = 0; forGeneration[e] = 0 }
  od
}

inline begin(e) {
  atomic {
    block[e] = sqBody[fetched % CAPACITY]; command[e] = sqCommand[fetched % CAPACITY];
    assert(sqValid[fetched % CAPACITY] == VALID(stateEpoch, fetched));  /* else it halts: STALE */
    assert(command[e] == nextCommand - (sqTail - fetched) + 1);         /* the descriptor is whole */
    forGeneration[e] = generation[block[e]];
    busy[e] = 1;
    fetched++
  }
}
active proctype Core() {
end:
  do
  :: atomic { state == IDLE && enable -> stateEpoch = controlEpoch; fetched = 0; cqTail = 0; state = RUNNING }
  :: atomic { state == IDLE && !enable && stateEpoch != controlEpoch -> stateEpoch = controlEpoch }
  :: atomic { state == RUNNING && (!enable || controlEpoch != stateEpoch) -> state = STOPPING }
  :: atomic { state == STOPPING && !busy[0] && !busy[1] && !completing -> state = IDLE }
  :: state == RUNNING && fetched != sqTail && fetched - cqHead < CAPACITY ->
    atomic {
      if
      :: !(state == RUNNING && enable && controlEpoch == stateEpoch)
      :: state == RUNNING && enable && controlEpoch == stateEpoch && !busy[0] -> begin(0)
      :: state == RUNNING && enable && controlEpoch == stateEpoch && !busy[1] -> begin(1)
      fi
    }
  od
}

/* ---- The host ---- */

inline startQueue() {
#ifndef BUG_NO_EPOCH
  BARRIER;
  atomic {
    sqValid[0] = 0; sqValid[1] = 0; cqValid[0] = 0; cqValid[1] = 0;
    sqBody[0] = 0; sqBody[1] = 0; sqCommand[0] = 0; sqCommand[1] = 0; cqBody[0] = 0; cqBody[1] = 0; fetched = 0; cqTail = 0
  };
#endif
  epoch = epoch + 1;
  open = 1;
  atomic { sqTail = 0; cqHead = 0 };
  atomic { controlEpoch = epoch; enable = 1 };
  (state == RUNNING && stateEpoch == epoch);
  atomic { submitted = 0; reaped = 0 }
}

inline giveBlock() {
  atomic {                                                              /* loan */
    if
    :: holders[0] == 0 -> b = 0
    :: holders[1] == 0 -> b = 1
    fi;
    holders[b] = HOST; generation[b]++
  };
#ifdef BUG_HELD_AFTER_BIT
  holders[b] = holders[b] | DEVICE;
  held[b] = 2 * generation[b] + 1;
#else
  held[b] = 2 * generation[b] + 1;
  holders[b] = holders[b] | DEVICE;
#endif
}
inline takeBlock(x) {
#ifdef BUG_RELEASE_BEFORE_HELD
  holders[x] = 0;
  held[x] = 0;
#else
  holders[x] = holders[x] & ~DEVICE;
  held[x] = 0;
  holders[x] = holders[x] & ~HOST;
#endif
}

inline submit() {
  giveBlock();
  s = submitted % CAPACITY;
#ifdef ORDERED
  atomic { underWay[b] = 1; sqBody[s] = b; sqCommand[s] = nextCommand + 1 };
  sqValid[s] = VALID(epoch, submitted);
#else
  atomic { underWay[b] = 1; lateCommand[s] = nextCommand + 1; late[2 * s] = b + 1 };
  late[2 * s + 1] = VALID(epoch, submitted) + 1;
#ifndef BUG_NO_WMB
  BARRIER;
#endif
#endif
  atomic { submitted++; nextCommand++; sqTail = submitted; b = 0; s = 0 }
}

#define READY (cqValid[reaped % CAPACITY] == VALID(epoch, reaped))
inline reap() {
  b = cqBody[reaped % CAPACITY];
  assert(underWay[b]);                                                  /* once, and ours */
  assert(content[b] != 0);                                              /* its payload is there */
  atomic { underWay[b] = 0; content[b] = 0 };
  takeBlock(b);
  atomic { reaped++; completed++; b = 0 };
  cqHead = reaped
}

inline stopQueue() {
  enable = 0;
#ifndef BUG_STOP_WITHOUT_IDLE
  (state == IDLE && stateEpoch == epoch);
#endif
  do
  :: READY && reaped < submitted -> reap()
  :: else -> break
  od;
  b = 0;
  do                                                                    /* the rest fails with "reset" */
  :: b < BLOCKS && underWay[b] -> atomic { underWay[b] = 0; content[b] = 0 }; takeBlock(b); b++
  :: b < BLOCKS && !underWay[b] -> b++
  :: b == BLOCKS -> b = 0; break
  od
}

proctype Host() {
  byte b, s, submitted, reaped, completed;
  {
    startQueue();
    do
    :: completed < COMMANDS && submitted - reaped < CAPACITY && completed + submitted - reaped < COMMANDS && (holders[0] == 0 || holders[1] == 0) ->
      submit()
    :: READY -> reap()
    :: stops < STOPS && submitted != reaped -> stops++; stopQueue(); startQueue()
    :: completed == COMMANDS -> break
    od;
    stopQueue();
    open = 0;
    finished = 1
  } unless { killHost -> atomic { killHost = 0; hostDead = 1; underWay[0] = 0; underWay[1] = 0 } }
}

/* ---- Death and recovery ---- */

inline recover() {
  if
  :: open ->
    atomic { controlEpoch = epoch; enable = 0 };
#ifndef BUG_RECOVER_WITHOUT_IDLE
    (state == IDLE && stateEpoch == epoch);
#endif
    c = 0;
    do
    :: c < BLOCKS ->
      if
#ifdef BUG_HELD_WITHOUT_GENERATION
      :: held[c] -> holders[c] = holders[c] & ~DEVICE
#else
      :: held[c] == 2 * generation[c] + 1 -> atomic { holders[c] = holders[c] & ~DEVICE; content[c] = 0 }
#endif
      :: else
      fi;
      held[c] = 0;
      c++
    :: c == BLOCKS -> c = 0; break
    od;
    open = 0
  :: !open
  fi;
  c = 0;
  do                                                                    /* sweep: process bits only */
  :: c < BLOCKS -> holders[c] = holders[c] & ~HOST; c++
  :: c == BLOCKS -> c = 0; break
  od
}

active proctype Cleaner() {
  byte c;
end:
  do
  :: {
      hostDead;
#ifdef BUG_SWEEP_FIRST
      atomic { holders[0] = holders[0] & ~HOST; holders[1] = holders[1] & ~HOST };
#endif
#ifdef BUG_SWEEP_CLEARS_DEVICE
      atomic { if :: holders[0] & HOST -> holders[0] = 0 :: else fi; if :: holders[1] & HOST -> holders[1] = 0 :: else fi };
#endif
      recover();
      atomic { hostDead = 0; run Host() }
    } unless { killCleaner -> atomic { killCleaner = 0; c = 0 } }
  od
}

active proctype Killer() {
  run Host();
end:
  do
  :: crashes < CRASHES && !finished && !hostDead -> atomic { crashes++; killHost = 1 }; (!killHost || finished); killHost = 0
  :: crashes < CRASHES && hostDead -> atomic { crashes++; killCleaner = 1 }; (!killCleaner || !hostDead); killCleaner = 0
  od
}

/* Somebody else with a queue of its own: its blocks are its hardware's, whatever happens here. */
active proctype Other() {
  byte n, b;
  do
  :: n < OTHERS ->
    atomic {
      if
      :: holders[0] == 0 -> b = 0
      :: holders[1] == 0 -> b = 1
      :: finished -> goto out
      fi;
      holders[b] = OTHER | DEVICE; generation[b]++; content[b] = 99
    };
    atomic {
      assert(holders[b] == (OTHER | DEVICE));
      assert(content[b] == 99);
      content[b] = 0; holders[b] = 0; n++; b = 0
    }
  :: n == OTHERS -> break
  od;
out:
  finished;                                                             /* nobody waits for ever */
  atomic { assert(holders[0] == 0 && holders[1] == 0); assert(state == IDLE) }
}
