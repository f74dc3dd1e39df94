/** The table of model checks: which file, with which -D, and how a deliberately broken variant must fail. */
export interface ModelCase {
  readonly file:
    | "doorbell"
    | "deaths"
    | "ring"
    | "pool"
    | "drop_oldest"
    | "history"
    | "evict_history"
    | "records"
    | "service"
    | "hardware"
    | "queue"
    | "stall"
    | "cell";
  readonly title: string;
  readonly defines: readonly string[];
  /** Broken on purpose: the first error SPIN reports must match. Absent: the model is good and the search must be exhaustive. */
  readonly fails?: RegExp;
  /** Takes minutes; only with --deep. */
  readonly deep?: boolean;
}

const DEADLOCK = /invalid end state/;
const LEAK = /holders\[0\]\|holders\[1\]/; // a bit left over at the end
const LOST_HOLD = /holders\[b\]&/; // somebody's bit or bytes went while it held the block
const WRONG_BYTES = /content\[b\]==m/;
const NOT_ITS_OWN = /payloadBlock\[e\]/; // the device wrote a block that was not the command's any more
const NOT_EXCLUSIVE = /holders\[b\]==\(1<<0\)/; // a foreign bit on a block that is about to be handed over
const SLEPT_THROUGH = /assertion violated 0/;
const TWICE = /using&\(1<<b\)/; // the same block accepted twice

const bell = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("doorbell", title, defines, fails);
const deaths = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("deaths", title, defines, fails);
const ring = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("ring", title, defines, fails);
const pool = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("pool", title, defines, fails);
const drop = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("drop_oldest", title, defines, fails);

const history = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("history", title, defines, fails);

const evicted = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("evict_history", title, defines, fails);

const hardware = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("hardware", title, defines, fails);
const records = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("records", title, defines, fails);

const service = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("service", title, defines, fails);

function make(file: ModelCase["file"], title: string, defines: string[], fails?: RegExp): ModelCase {
  return fails === undefined ? { file, title, defines } : { file, title, defines, fails };
}

const queue = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("queue", title, defines, fails);
const stall = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("stall", title, defines, fails);
const cell = (title: string, defines: string[], fails?: RegExp): ModelCase =>
  make("cell", title, defines, fails);

const deep = (model: ModelCase): ModelCase => ({ ...model, deep: true });

/** KILLS: bits 0-2 participants, last bit the cleaner (pool 8, drop_oldest 4). */
export const modelCases: readonly ModelCase[] = [
  bell("wakers stop or die anywhere", ["MESSAGES=2"]),
  bell("disarmed before the datagram is sent", ["BUG_DISARM_BEFORE_SEND"], SLEPT_THROUGH),
  bell("disarmed without comparing", ["BUG_DISARM_WITHOUT_COMPARING"], SLEPT_THROUGH),
  bell("every sleep has the same number", ["BUG_SAME_NUMBER"], SLEPT_THROUGH),
  bell("no look after arming", ["BUG_NO_LOOK"], SLEPT_THROUGH),

  deaths("anybody dies, an error in a cleaning", []),
  deaths("looks a few times only", ["BUG_GIVES_UP"], /swept/),
  deaths("looks at the suspects only", ["BUG_ONLY_SUSPECTS"], /swept/),
  deaths("looks at nobody else behind a cleaning", ["BUG_ONE_PASS"], /swept/),
  deaths("takes a dying one for cleaned", ["BUG_DYING_IS_IN_GOOD_HANDS"], /swept/),
  deaths("does not look for who died before", ["BUG_NO_FIRST_LOOK"], /swept/),
  deaths("looks once for who died before", ["BUG_ONE_FIRST_LOOK"], /swept/),

  ring("two deaths", ["MESSAGES=1", "CRASHES=2"]),
  deep(ring("two deaths and two messages", ["MESSAGES=2", "CRASHES=2"])),
  ring("slots used again, one death", ["MESSAGES=3", "CRASHES=1"]),
  deep(ring("slots used again, two deaths", ["MESSAGES=4", "CRASHES=2"])),
  ring("the sleeper's membarrier instead of the waker's fence", ["MESSAGES=2", "CRASHES=1", "MEMBARRIER"]),
  ring("no fence between publish and doorbell", ["CRASHES=0", "BUG_NO_FENCE"], DEADLOCK),
  ring("no second look before sleeping", ["CRASHES=0", "BUG_NO_LOOK"], DEADLOCK),
  ring("release does not ring", ["CRASHES=0", "BUG_RELEASE_WITHOUT_RING"], DEADLOCK),
  ring("tail stored before the slots", ["CRASHES=0", "BUG_PUBLISH_BEFORE_WRITE"], /slot\[/),
  ring("ended read without a second look at tail", ["CRASHES=0", "BUG_END_WITHOUT_LOOK"], /released==/),
  ring("recovery rings only armed doorbells", ["MESSAGES=2", "CRASHES=1", "BUG_POLITE_RECOVERY"], DEADLOCK),
  deep(
    ring(
      "swept before ringing, cleaner dies",
      ["MESSAGES=1", "CRASHES=2", "BUG_SWEPT_BEFORE_RING"],
      DEADLOCK,
    ),
  ),
  ring(
    "socket chosen before the doorbell is read",
    ["MESSAGES=2", "CRASHES=1", "BUG_GENERATION_BEFORE_READ"],
    DEADLOCK,
  ),

  pool("nobody dies", ["MESSAGES=4", "CRASHES=0"]),
  pool("producer dies", ["MESSAGES=3", "CRASHES=1", "KILLS=1"]),
  pool("consumer dies, its index is used again", ["MESSAGES=2", "CRASHES=1", "KILLS=2"]),
  pool("producer dies, another continues", ["MESSAGES=2", "CRASHES=1", "KILLS=1", "REBIRTH"]),
  pool("producer and cleaner die", ["MESSAGES=2", "CRASHES=2", "KILLS=9"]),
  pool("consumer and cleaner die", ["MESSAGES=1", "CRASHES=2", "KILLS=10"]),
  pool("a consumer leaves and joins again", ["MESSAGES=2", "CRASHES=0", "LEAVE"]),
  pool("a consumer leaves, the producer dies", ["MESSAGES=1", "CRASHES=1", "KILLS=1", "LEAVE"]),
  pool("frames are forwarded, a consumer dies", ["MESSAGES=1", "CRASHES=1", "KILLS=2", "FORWARD"]),
  deep(pool("a consumer dies, slots used again", ["MESSAGES=3", "CRASHES=1", "KILLS=2"])),
  deep(pool("producer and consumer die", ["MESSAGES=2", "CRASHES=2", "KILLS=3"])),
  deep(pool("consumer and cleaner die", ["MESSAGES=2", "CRASHES=2", "KILLS=10"])),
  deep(pool("a consumer leaves, slots used again", ["MESSAGES=3", "CRASHES=0", "LEAVE"])),
  deep(pool("a consumer leaves, the producer dies", ["MESSAGES=2", "CRASHES=1", "KILLS=1", "LEAVE"])),
  deep(pool("frames are forwarded, a consumer dies", ["MESSAGES=2", "CRASHES=1", "KILLS=2", "FORWARD"])),
  deep(pool("forwarded, leave and join", ["MESSAGES=2", "CRASHES=0", "FORWARD", "LEAVE"])),
  pool("recovery ignores prepared", ["CRASHES=1", "KILLS=1", "BUG_NO_PREPARED"], LEAK),
  pool("prepared stored after the hand-over", ["CRASHES=1", "KILLS=1", "BUG_PREPARED_AFTER_HANDOVER"], LEAK),
  pool("released before it is published", ["CRASHES=1", "KILLS=1", "BUG_RELEASE_BEFORE_PUBLISH"], LEAK),
  pool("swept before step 4", ["CRASHES=1", "KILLS=1", "BUG_SWEEP_FIRST"], LEAK),
  pool(
    "cleaner resets prepared first and dies",
    ["MESSAGES=2", "CRASHES=2", "KILLS=9", "BUG_CLEANER_FORGETS_FIRST"],
    LEAK,
  ),
  pool("sender does not look at the owner again", ["CRASHES=1", "KILLS=2", "BUG_NO_RECHECK"], LEAK),
  pool(
    "swept before the owner is changed",
    ["CRASHES=1", "KILLS=2", "BUG_SWEEP_BEFORE_MARK"],
    /holders|invalid end state/,
  ),
  pool(
    "joiner visible before its head is set",
    ["CRASHES=0", "BUG_JOIN_VISIBLE_EARLY"],
    /holders|invalid end state/,
  ),
  pool(
    "leaver does not scan its lane",
    ["CRASHES=0", "LEAVE", "BUG_LEAVE_WITHOUT_SCAN"],
    /holders|invalid end state/,
  ),
  pool("leaver does not wait for prepared = tail", ["CRASHES=0", "LEAVE", "BUG_LEAVE_WITHOUT_WAIT"], LEAK),
  pool(
    "no generation in the descriptor",
    ["MESSAGES=2", "CRASHES=1", "KILLS=2", "FORWARD", "BUG_NO_GENERATION"],
    WRONG_BYTES,
  ),
  pool(
    "block generation only",
    ["MESSAGES=1", "CRASHES=1", "KILLS=2", "FORWARD", "BUG_BLOCK_GENERATION_ONLY"],
    TWICE,
  ),

  drop("a lane or a participant is left", ["CRASHES=0"]),
  drop("anybody dies", ["CRASHES=1", "LEAVES=0"]),
  drop("two of producer, consumer, cleaner die", ["CRASHES=2", "LEAVES=0", "FROM=2"]),
  drop("left, and the producer dies", ["CRASHES=1", "KILLS=1", "LEAVES=1", "FROM=2"]),
  deep(drop("producer, consumer and cleaner die", ["CRASHES=3", "LEAVES=0", "FROM=2"])),
  deep(drop("left, and anybody dies at any time", ["CRASHES=1", "LEAVES=1"])),
  drop("evicted, nobody dies", ["EVICT", "CRASHES=0", "LEAVES=0"]),
  drop("evicted, and anybody dies", ["EVICT", "CRASHES=1", "LEAVES=0", "FROM=2"]),
  deep(drop("evicted, and two die", ["EVICT", "CRASHES=2", "LEAVES=0", "FROM=2"])),
  drop(
    "evicted lane free before its frames are taken back",
    ["EVICT", "CRASHES=0", "LEAVES=0", "BUG_FREE_AT_ONCE"],
    /holders|invalid end state/,
  ),
  drop(
    "taken back without a claim",
    ["EVICT", "CRASHES=0", "LEAVES=0", "BUG_EVICT_WITHOUT_CLAIM"],
    /holders|content|using|invalid end state/,
  ),
  drop(
    "cleaner forgets the eviction",
    ["EVICT", "CRASHES=1", "KILLS=1", "LEAVES=0", "BUG_CLEANER_FORGETS_EVICTION"],
    /holders|invalid end state/,
  ),
  drop("claim not in the head word", ["CRASHES=1", "LEAVES=0", "FROM=2", "BUG_NO_CLAIM"], LEAK),
  drop(
    "clear instead of take back",
    ["CRASHES=1", "LEAVES=0", "FROM=2", "BUG_CLEAR_INSTEAD_OF_TAKE_BACK"],
    /holders|invalid end state/,
  ),
  drop("stale slot taken back", ["CRASHES=0", "BUG_TAKE_BACK_STALE"], LOST_HOLD),
  drop(
    "owner read before the section",
    ["CRASHES=1", "LEAVES=0", "FROM=2", "BUG_OWNER_BEFORE_SECTION"],
    LOST_HOLD,
  ),
  drop(
    "index used again without quiescence",
    ["CRASHES=1", "LEAVES=0", "FROM=2", "BUG_NO_QUIESCENCE"],
    LOST_HOLD,
  ),
  drop(
    "quiescence asks live participants only",
    ["CRASHES=2", "KILLS=3", "LEAVES=0", "FROM=2", "BUG_QUIET_ONLY_LIVE"],
    LOST_HOLD,
  ),
  drop("leave frees the index at once", ["CRASHES=0", "BUG_LEAVE_FREE"], LOST_HOLD),
  drop(
    "section of a dead producer left odd",
    ["CRASHES=2", "KILLS=3", "LEAVES=0", "FROM=2", "BUG_SECTION_LEFT_ODD"],
    DEADLOCK,
  ),
  drop(
    "slot copied after the head's CAS",
    ["CRASHES=0", "BUG_COPY_AFTER_CLAIM"],
    /holders|content|using|invalid end state/,
  ),
  drop(
    "cleaner moves the head first and dies",
    ["CRASHES=2", "KILLS=5", "LEAVES=0", "FROM=2", "BUG_CLEANER_HEAD_FIRST"],
    LEAK,
  ),

  history("nobody dies", ["MESSAGES=3", "CRASHES=0"]),
  history("nobody dies, two are kept", ["MESSAGES=3", "CRASHES=0", "N=2", "BLOCKS=3"]),
  history("leaves and joins again", ["MESSAGES=2", "CRASHES=0", "STAYS=2"]),
  history("anybody dies", ["MESSAGES=2", "CRASHES=1"]),
  history("the producer dies, its index is used again", ["MESSAGES=2", "CRASHES=1", "KILLS=1", "REBIRTH"]),
  deep(history("two die, somebody else loans", ["MESSAGES=2", "CRASHES=2", "OTHERS=1"])),
  deep(
    history("the producer dies, used again", ["MESSAGES=3", "CRASHES=1", "KILLS=1", "REBIRTH", "OTHERS=1"]),
  ),
  history("lets go of a block that is wanted", ["CRASHES=0", "BUG_NO_WANTED"], NOT_EXCLUSIVE),
  history("wanted behind the look at head", ["CRASHES=0", "BUG_WANTED_AFTER_LOOK"], NOT_EXCLUSIVE),
  history("lets go before head is moved", ["CRASHES=0", "BUG_LET_GO_BEFORE_HEAD"], NOT_EXCLUSIVE),
  history("forgets what was wanted", ["CRASHES=0", "BUG_LATE_FORGOTTEN"], /holders|invalid end state/),
  history(
    "does not wait for a send under way",
    ["MESSAGES=2", "CRASHES=0", "BUG_SENDING_IGNORED"],
    /before==0|last/,
  ),
  history(
    "takes before senders see it",
    ["MESSAGES=2", "CRASHES=0", "BUG_VISIBLE_AFTERWARDS"],
    /before==0|last/,
  ),
  history(
    "kept before it is published",
    ["MESSAGES=2", "CRASHES=0", "BUG_KEPT_BEFORE_PUBLISHED"],
    /before==0|last|holders/,
  ),
  history(
    "takes from whoever holds it",
    ["MESSAGES=2", "CRASHES=1", "KILLS=1", "OTHERS=1", "BUG_ANY_HOLDER"],
    /holders\[b\]==/,
  ),
  history(
    "index used again without quiescence",
    ["CRASHES=1", "KILLS=1", "REBIRTH", "BUG_NO_QUIESCENCE"],
    NOT_EXCLUSIVE,
  ),
  history(
    "cleaner leaves the send under way",
    ["MESSAGES=2", "CRASHES=1", "KILLS=1", "BUG_CLEANER_LEAVES_SENDING"],
    DEADLOCK,
  ),
  history(
    "cleaner leaves what the dead wanted",
    ["MESSAGES=2", "CRASHES=1", "KILLS=2", "BUG_CLEANER_LEAVES_WANTED"],
    DEADLOCK,
  ),

  evicted("evicted with a frame in its hands, joins the other lane", []),
  evicted("the producer dies", ["STAYS=1", "CRASHES=1", "KILLS=1", "FROM=1"]),
  evicted("the evicted one dies", ["MESSAGES=1", "CRASHES=1", "KILLS=2", "FROM=1"]),
  evicted("producer and cleaner die", ["MESSAGES=1", "STAYS=1", "CRASHES=2", "KILLS=5", "FROM=1"]),
  deep(evicted("anybody dies, joins the other lane", ["MESSAGES=1", "CRASHES=1", "FROM=1"])),
  deep(evicted("somebody else joins meanwhile", ["MESSAGES=1", "CONSUMERS=2", "STAYS=1"])),
  evicted("history open during an eviction", ["BUG_NOT_SENDING"], /held==b/),
  evicted("evicted lane free before its frames are taken back", ["BUG_FREE_AT_ONCE"], /held==b/),
  evicted("a taken-back block of the history released", ["BUG_RELEASE_KEPT"], NOT_EXCLUSIVE),
  evicted(
    "cleaner forgets the eviction",
    ["STAYS=1", "CRASHES=1", "KILLS=1", "BUG_CLEANER_FORGETS_EVICTION"],
    LEAK,
  ),

  records("producer or consumer dies", ["MESSAGES=4", "CONSUMERS=1", "CRASHES=1"]),
  records("joins twice, history", ["MESSAGES=4", "CONSUMERS=1", "STAYS=2", "HISTORY"]),
  records("evicted, joins again", ["MESSAGES=4", "CONSUMERS=1", "STAYS=2", "EVICTIONS=1"]),
  records("two consumers, two cursors", ["MESSAGES=2", "CURSORS=2"]),
  records("two consumers, one cursor", ["MESSAGES=2", "EVICTIONS=1"]),
  records("lossy, the producer dies", ["MESSAGES=5", "LOSSY", "CRASHES=1"]),
  records("lossy, long message first", ["MESSAGES=6", "LOSSY", "FIRST_LONG=1"]),
  deep(records("two consumers, two cursors", ["MESSAGES=3", "CURSORS=2"])),
  deep(records("two consumers, one cursor, evicted", ["MESSAGES=3", "EVICTIONS=1"])),
  records("joins twice, history, one dies", ["MESSAGES=3", "CONSUMERS=1", "STAYS=2", "HISTORY", "CRASHES=1"]),
  records("two consumers, two cursors, anybody dies", ["MESSAGES=1", "CURSORS=2", "CRASHES=1"]),
  records("evicted, anybody dies", ["MESSAGES=2", "CONSUMERS=1", "EVICTIONS=1", "CRASHES=1"]),
  records("no second scan after the claim", ["MESSAGES=4", "CONSUMERS=1", "BUG_NO_SECOND_SCAN"], /x==/),
  records("joiner does not look at the claim", ["MESSAGES=4", "CONSUMERS=1", "BUG_JOIN_WITHOUT_LOOK"], /x==/),
  records(
    "evicted consumer believes what it read",
    ["MESSAGES=4", "CONSUMERS=1", "EVICTIONS=1", "BUG_EVICTED_BELIEVES"],
    /x==/,
  ),
  records("one mark", ["MESSAGES=3", "CONSUMERS=1", "CRASHES=1", "BUG_ONE_MARK"], /h==/),
  records("lossy: claim behind the bytes", ["MESSAGES=4", "LOSSY", "BUG_CLAIM_AFTER_BYTES"], /x==/),
  records("lossy: no look behind the copy", ["MESSAGES=4", "LOSSY", "BUG_NO_LOOK_BEHIND"], /x==/),
  records(
    "lossy: header believed at once",
    ["MESSAGES=6", "LOSSY", "FIRST_LONG=1", "BUG_HEADER_BELIEVED"],
    /h%4|h\/4|h==/,
  ),

  service("two servers, two clients, one death", []),
  service("two deaths", ["CALLS=1", "CRASHES=2"]),
  service("nobody dies", ["CRASHES=0"]),
  service("server's stay read after the request was sent", ["BUG_STAY_AFTER_REQUEST"], DEADLOCK),
  service("server seen before it joined the requests", ["BUG_OWNER_BEFORE_CURSOR"], DEADLOCK),
  service("an earlier client's answer taken for one's own", ["BUG_ANYBODYS_ANSWER"], /res_stay/),
  service("server looked at after the answers", ["BUG_SERVER_AFTER_ANSWERS"], /!/),

  hardware("nobody dies, stores to the rings in any order", ["CRASHES=0", "STOPS=0", "OTHERS=0"]),
  hardware("the queue is stopped at any moment", ["CRASHES=0", "STOPS=1", "OTHERS=0"]),
  hardware("the host dies, somebody else loans blocks", [
    "COMMANDS=1",
    "CRASHES=1",
    "STOPS=0",
    "OTHERS=1",
    "ORDERED",
  ]),
  deep(hardware("stopped, and the host dies", ["COMMANDS=1", "CRASHES=1", "STOPS=1", "OTHERS=0", "ORDERED"])),
  deep(hardware("host and cleaner die", ["COMMANDS=1", "CRASHES=2", "STOPS=0", "OTHERS=0", "ORDERED"])),
  deep(
    hardware("the host dies, two commands", ["COMMANDS=2", "CRASHES=1", "STOPS=0", "OTHERS=0", "ORDERED"]),
  ),
  hardware("doorbell without a barrier", ["CRASHES=0", "STOPS=0", "OTHERS=0", "BUG_NO_WMB"], /sqValid/),
  hardware(
    "completion before the payload's response",
    ["CRASHES=0", "STOPS=0", "OTHERS=0", "BUG_COMPLETE_EARLY"],
    /content\[b\]/,
  ),
  hardware(
    "validity word before the entry",
    ["CRASHES=0", "STOPS=0", "OTHERS=0", "BUG_TORN_ENTRY"],
    /underWay/,
  ),
  hardware(
    "idle while a write is on the bus",
    ["CRASHES=0", "STOPS=1", "OTHERS=0", "ORDERED", "BUG_IDLE_EARLY"],
    NOT_ITS_OWN,
  ),
  hardware(
    "stop does not wait for idle",
    ["CRASHES=0", "STOPS=1", "OTHERS=0", "ORDERED", "BUG_STOP_WITHOUT_IDLE"],
    /payloadBlock|state==0|command\[e\]|sqValid/,
  ),
  hardware(
    "no epoch, rings not zeroed",
    ["CRASHES=0", "STOPS=1", "OTHERS=0", "ORDERED", "BUG_NO_EPOCH"],
    /content\[b\]|underWay/,
  ),
  hardware(
    "recovery does not wait for idle",
    ["COMMANDS=1", "CRASHES=1", "STOPS=0", "OTHERS=0", "ORDERED", "BUG_RECOVER_WITHOUT_IDLE"],
    NOT_ITS_OWN,
  ),
  hardware(
    "the sweep clears the device's bit",
    ["COMMANDS=1", "CRASHES=1", "STOPS=0", "OTHERS=0", "ORDERED", "BUG_SWEEP_CLEARS_DEVICE"],
    NOT_ITS_OWN,
  ),
  hardware(
    "held written after the device's bit",
    ["COMMANDS=1", "CRASHES=1", "STOPS=0", "OTHERS=0", "ORDERED", "BUG_HELD_AFTER_BIT"],
    /holders\[0\]==0/,
  ),
  hardware(
    "swept first, held without a generation",
    [
      "COMMANDS=1",
      "CRASHES=1",
      "STOPS=0",
      "OTHERS=1",
      "ORDERED",
      "BUG_SWEEP_FIRST",
      "BUG_HELD_WITHOUT_GENERATION",
    ],
    /holders\[b\]==/,
  ),

  stall("a taker stops for ever, anybody is evicted at any time", []),
  stall("nobody stops, all are evicted at any time", ["MESSAGES=7", "STOPS=0"]),
  stall("a stalled consumer keeps its place", ["BUG_KEEPS_PLACE"], /done/),
  stall("no second look before sleeping", ["BUG_NO_LOOK", "STOPS=0"], /stops>0/),
  stall("a lost claim taken for a won one", ["BUG_NO_COMPARE"], /copy==/),
  queue("nobody dies, lanes fill", ["MESSAGES=3"]),
  queue("a taker goes about other things, bursts", ["BURSTS", "BUSY=1"]),
  queue("anybody dies", ["MESSAGES=1", "CRASHES=1"]),
  queue("a taker dies", ["CRASHES=1", "KILLS=4"]),
  queue("a taker dies, lanes fill", ["MESSAGES=3", "OTHERS=0", "CRASHES=1", "KILLS=4"]),
  deep(queue("two die, bursts", ["MESSAGES=2", "CRASHES=2", "BURSTS"])),
  queue("publishes without waking", ["BUG_NO_WAKE"], /head\[0\]/),
  queue("a lost claim taken for a won one", ["BUG_NO_COMPARE"], /copy==/),
  queue("copied after the claim", ["MESSAGES=3", "BUG_COPY_AFTER_CLAIM"], /slot\[/),
  queue("does not pass on", ["BURSTS", "BUSY=1", "BUG_NO_PASS_ON"], /head\[0\]/),
  queue("sleeps without its bit", ["BUG_WITHOUT_BIT"], /head\[0\]/),
  queue("no second look before sleeping", ["BUG_NO_LOOK"], /head\[0\]/),
  queue("recovery leaves the lane", ["CRASHES=1", "KILLS=1", "BUG_LANE_LEFT"], /owner/),
  queue(
    "recovery wakes nobody",
    ["MESSAGES=3", "OTHERS=0", "CRASHES=1", "KILLS=4", "BUG_RECOVERY_WITHOUT_WAKING"],
    /head\[0\]/,
  ),

  cell("the writer dies, a successor goes on, two buffers", ["K=2", "VALUES=3"]),
  deep(cell("the writer dies, a successor goes on, four buffers", [])),
  cell("buffer not marked", ["CRASHES=0", "BUG_NO_MARK"], /a==v/),
  cell("mark not ahead of the value", ["CRASHES=0", "BUG_NO_STORES_FENCE"], /a==v/),
  cell("published before the value is whole", ["CRASHES=0", "BUG_NO_RELEASE"], /a==v/),
  cell("not looked at again after reading", ["CRASHES=0", "BUG_NO_CHECK"], /a==v/),
];
