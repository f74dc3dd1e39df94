/* Prints the numbers of physring.h as JSON under the names of src/memory/layout.ts and src/ring/layout.ts. */
#include "physring.h"

static int printed;

static void print_number(const char *name, long long value) {
  printf("%s\n  \"%s\": %lld", printed++ ? "," : "{", name, value);
}

#define VALUE(name, value) print_number(name, (long long)(value))
#define WORD(name, type, field) print_number(name, (long long)(offsetof(type, field) / 4))
#define BYTES(name, type, field) print_number(name, (long long)sizeof(((type *)0)->field))

static void print_superblock(void) {
  VALUE("Superblock.sizeBytes", sizeof(physring_superblock));
  VALUE("Superblock.magicLow", PHYSRING_MAGIC_LOW);
  VALUE("Superblock.magicHigh", PHYSRING_MAGIC_HIGH);
  WORD("Superblock.magicLowWord", physring_superblock, magic[0]);
  WORD("Superblock.magicHighWord", physring_superblock, magic[1]);
  WORD("Superblock.layoutVersionWord", physring_superblock, layout_version);
  WORD("Superblock.byteOrderWord", physring_superblock, byte_order);
  WORD("Superblock.headerBytesWord", physring_superblock, header_bytes);
  WORD("Superblock.stateWord", physring_superblock, state);
  WORD("Superblock.sizeLowWord", physring_superblock, size_bytes[0]);
  WORD("Superblock.sizeHighWord", physring_superblock, size_bytes[1]);
  WORD("Superblock.instanceIdWord", physring_superblock, instance_id);
  WORD("Superblock.directoryOffsetWord", physring_superblock, directory_offset);
  WORD("Superblock.directoryCapacityWord", physring_superblock, directory_capacity);
  WORD("Superblock.controlOffsetWord", physring_superblock, control_offset);
  WORD("Superblock.participantCapacityWord", physring_superblock, participant_capacity);
  WORD("Superblock.flagsWord", physring_superblock, flags);
  WORD("Superblock.backendWord", physring_superblock, backend);
  WORD("Superblock.createdAtLowWord", physring_superblock, created_at_ms[0]);
  WORD("Superblock.createdAtHighWord", physring_superblock, created_at_ms[1]);
  VALUE("Superblock.stateBuilding", PHYSRING_REGION_BUILDING);
  VALUE("Superblock.stateReady", PHYSRING_REGION_READY);
  VALUE("Superblock.flagSidecar", PHYSRING_REGION_FLAG_SIDECAR);
}

static void print_directory(void) {
  VALUE("Directory.offset", PHYSRING_DIRECTORY_OFFSET);
  VALUE("Directory.capacity", PHYSRING_DIRECTORY_CAPACITY);
  VALUE("Directory.entryBytes", sizeof(physring_directory_entry));
  WORD("Directory.stateWord", physring_directory_entry, state);
  WORD("Directory.kindWord", physring_directory_entry, kind);
  WORD("Directory.generationWord", physring_directory_entry, generation);
  WORD("Directory.offsetLowWord", physring_directory_entry, offset[0]);
  WORD("Directory.offsetHighWord", physring_directory_entry, offset[1]);
  WORD("Directory.sizeLowWord", physring_directory_entry, size_bytes[0]);
  WORD("Directory.sizeHighWord", physring_directory_entry, size_bytes[1]);
  WORD("Directory.nameWord", physring_directory_entry, name);
  BYTES("Directory.nameBytes", physring_directory_entry, name);
  VALUE("Directory.stateFree", PHYSRING_ENTRY_FREE);
  VALUE("Directory.stateBuilding", PHYSRING_ENTRY_BUILDING);
  VALUE("Directory.stateReady", PHYSRING_ENTRY_READY);
  VALUE("Directory.objectAlignBytes", PHYSRING_OBJECT_ALIGN_BYTES);
  VALUE("ObjectKind.ring", PHYSRING_KIND_RING);
  VALUE("ObjectKind.pool", PHYSRING_KIND_POOL);
  VALUE("ObjectKind.channel", PHYSRING_KIND_CHANNEL);
  VALUE("ObjectKind.queue", PHYSRING_KIND_QUEUE);
  VALUE("ObjectKind.records", PHYSRING_KIND_RECORDS);
  VALUE("ObjectKind.cell", PHYSRING_KIND_CELL);
  VALUE("ObjectKind.service", PHYSRING_KIND_SERVICE);
  VALUE("ObjectKind.hardwareQueue", PHYSRING_KIND_HARDWARE_QUEUE);
  VALUE("ObjectKind.hardwareRegisters", PHYSRING_KIND_HARDWARE_REGISTERS);
}

static void print_control(void) {
  VALUE("Control.offset", PHYSRING_CONTROL_OFFSET);
  VALUE("Control.sizeBytes", PHYSRING_HEADER_BYTES - PHYSRING_CONTROL_OFFSET);
  VALUE("Control.magic", PHYSRING_CONTROL_MAGIC);
  VALUE("Control.version", PHYSRING_CONTROL_VERSION);
  WORD("Control.magicWord", physring_control_header, magic);
  WORD("Control.versionWord", physring_control_header, version);
  WORD("Control.participantCapacityWord", physring_control_header, participant_capacity);
  WORD("Control.recordBytesWord", physring_control_header, record_bytes);
  WORD("Control.instanceIdWord", physring_control_header, instance_id);
  WORD("Control.driverInstanceLowWord", physring_control_header, driver_instance[0]);
  WORD("Control.driverInstanceHighWord", physring_control_header, driver_instance[1]);
  WORD("Control.deathsWord", physring_control_header, deaths);
  VALUE("Control.recordsOffset", sizeof(physring_control_header));
  VALUE("ParticipantRecord.capacity", PHYSRING_PARTICIPANTS);
  VALUE("ParticipantRecord.sizeBytes", sizeof(physring_participant));
  WORD("ParticipantRecord.stateWord", physring_participant, state);
  WORD("ParticipantRecord.pidWord", physring_participant, pid);
  WORD("ParticipantRecord.tidWord", physring_participant, tid);
  WORD("ParticipantRecord.pidNamespaceWord", physring_participant, pid_namespace);
  WORD("ParticipantRecord.deathWord", physring_participant, death);
  WORD("ParticipantRecord.deathPidWord", physring_participant, death_pid);
  WORD("ParticipantRecord.deathNameWord", physring_participant, death_name);
  WORD("ParticipantRecord.deathBegunWord", physring_participant, death_begun);
  WORD("ParticipantRecord.nameWord", physring_participant, name);
  BYTES("ParticipantRecord.nameBytes", physring_participant, name);
  WORD("ParticipantRecord.doorbellWord", physring_participant, doorbell);
  WORD("ParticipantRecord.sectionWord", physring_participant, section);
  WORD("ParticipantRecord.wantedWord", physring_participant, wanted);
  VALUE("ParticipantRecord.phaseFree", PHYSRING_PHASE_FREE);
  VALUE("ParticipantRecord.phaseLive", PHYSRING_PHASE_LIVE);
  VALUE("ParticipantRecord.phaseDying", PHYSRING_PHASE_DYING);
  VALUE("ParticipantRecord.phaseSwept", PHYSRING_PHASE_SWEPT);
  VALUE("ParticipantRecord.phaseMask", PHYSRING_PHASE_MASK);
  VALUE("ParticipantRecord.generationShift", PHYSRING_GENERATION_SHIFT);
  VALUE("ParticipantRecord.deathCountMask", PHYSRING_DEATH_COUNT_MASK);
  VALUE("LockByte.participant", PHYSRING_LOCK_PARTICIPANT);
  VALUE("LockByte.cleaner", PHYSRING_LOCK_CLEANER);
  VALUE("LockByte.directory", PHYSRING_LOCK_DIRECTORY);
  VALUE("LockByte.creation", PHYSRING_LOCK_CREATION);
  VALUE("LockByte.users", PHYSRING_LOCK_USERS);
}

static void print_ring(void) {
  VALUE("RingLayout.magic", PHYSRING_RING_MAGIC);
  VALUE("RingLayout.version", PHYSRING_RING_VERSION);
  WORD("RingLayout.magicWord", physring_ring_header, magic);
  WORD("RingLayout.versionWord", physring_ring_header, version);
  WORD("RingLayout.slotBytesWord", physring_ring_header, slot_bytes);
  WORD("RingLayout.capacityWord", physring_ring_header, capacity);
  WORD("RingLayout.slotsOffsetWord", physring_ring_header, slots_offset);
  WORD("RingLayout.flagsWord", physring_ring_header, flags);
  WORD("RingLayout.tailWord", physring_ring_header, tail);
  WORD("RingLayout.preparedWord", physring_ring_header, prepared);
  WORD("RingLayout.headWord", physring_ring_header, head);
  WORD("RingLayout.rejectedWord", physring_ring_header, rejected);
  WORD("RingLayout.fromHistoryWord", physring_ring_header, from_history);
  WORD("RingLayout.producerOwnerWord", physring_ring_header, producer_owner);
  WORD("RingLayout.consumerOwnerWord", physring_ring_header, consumer_owner);
  WORD("RingLayout.droppedNewestWord", physring_ring_header, dropped_newest);
  WORD("RingLayout.droppedOldestWord", physring_ring_header, dropped_oldest);
  WORD("RingLayout.undoneWord", physring_ring_header, undone);
  WORD("RingLayout.waitsWord", physring_ring_header, waits);
  WORD("RingLayout.refusedWord", physring_ring_header, refused);
  WORD("RingLayout.evictedWord", physring_ring_header, evicted);
  VALUE("RingLayout.flagSharedHead", PHYSRING_RING_FLAG_SHARED_HEAD);
  VALUE("RingLayout.headerBytes", sizeof(physring_ring_header));
  VALUE("RingLayout.flagDropOldest", PHYSRING_RING_FLAG_DROP_OLDEST);
  VALUE("RingLayout.minCapacity", PHYSRING_RING_MIN_CAPACITY);
  VALUE("RingLayout.maxCapacity", PHYSRING_RING_MAX_CAPACITY);
  VALUE("RingLayout.minSlotBytes", PHYSRING_RING_MIN_SLOT_BYTES);
  VALUE("RingLayout.maxSlotBytes", PHYSRING_RING_MAX_SLOT_BYTES);
  WORD("DescriptorLayout.offsetLowWord", physring_descriptor, offset_low);
  WORD("DescriptorLayout.offsetHighWord", physring_descriptor, offset_high);
  WORD("DescriptorLayout.lengthWord", physring_descriptor, length);
  WORD("DescriptorLayout.tagWord", physring_descriptor, tag);
  VALUE("DescriptorLayout.sizeBytes", sizeof(physring_descriptor));
  VALUE("OwnerWord.participantMask", PHYSRING_OWNER_PARTICIPANT_MASK);
  VALUE("OwnerWord.busyBit", PHYSRING_OWNER_BUSY);
  VALUE("OwnerWord.evictingBit", PHYSRING_OWNER_EVICTING);
  VALUE("OwnerWord.generationShift", PHYSRING_GENERATION_SHIFT);
}

static void print_records(void) {
  WORD("RecordsLayout.magicWord", physring_records_header, magic);
  WORD("RecordsLayout.versionWord", physring_records_header, version);
  WORD("RecordsLayout.capacityBytesWord", physring_records_header, capacity_bytes);
  WORD("RecordsLayout.cursorCountWord", physring_records_header, cursor_count);
  WORD("RecordsLayout.modeWord", physring_records_header, mode);
  WORD("RecordsLayout.policyWord", physring_records_header, policy);
  WORD("RecordsLayout.historyCountWord", physring_records_header, history_count);
  WORD("RecordsLayout.indexCountWord", physring_records_header, index_count);
  WORD("RecordsLayout.indexOffsetWord", physring_records_header, index_offset);
  WORD("RecordsLayout.recordsOffsetWord", physring_records_header, records_offset);
  WORD("RecordsLayout.stallTimeoutMsWord", physring_records_header, stall_timeout_ms);
  WORD("RecordsLayout.stallActionWord", physring_records_header, stall_action);
  WORD("RecordsLayout.annotationOffsetWord", physring_records_header, annotation_offset);
  WORD("RecordsLayout.annotationBytesWord", physring_records_header, annotation_bytes);
  WORD("RecordsLayout.tailWord", physring_records_header, tail);
  WORD("RecordsLayout.firstMarkWord", physring_records_header, marks);
  WORD("RecordsLayout.claimWord", physring_records_header, claim);
  WORD("RecordsLayout.epochWord", physring_records_header, epoch);
  WORD("RecordsLayout.producerOwnerWord", physring_records_header, producer_owner);
  WORD("RecordsLayout.endedWord", physring_records_header, ended);
  WORD("RecordsLayout.droppedNewestWord", physring_records_header, dropped_newest);
  WORD("RecordsLayout.failedWord", physring_records_header, failed);
  WORD("RecordsLayout.blockedWord", physring_records_header, blocked);
  WORD("RecordsLayout.evictedWord", physring_records_header, evicted);
  WORD("RecordsLayout.sleepersWord", physring_records_header, sleepers);
  VALUE("RecordsLayout.magic", PHYSRING_RECORDS_MAGIC);
  VALUE("RecordsLayout.version", PHYSRING_RECORDS_VERSION);
  VALUE("RecordsLayout.markWords", sizeof(physring_record_mark) / 4);
  VALUE("RecordsLayout.firstCursorWord", sizeof(physring_records_header) / 4);
  VALUE("RecordsLayout.cursorWords", sizeof(physring_record_cursor) / 4);
  VALUE("RecordsLayout.cursorsOffset", sizeof(physring_records_header));
  VALUE("RecordsLayout.cursorBytes", sizeof(physring_record_cursor));
  VALUE("RecordsLayout.maxCursors", PHYSRING_RECORDS_MAX_CURSORS);
  VALUE("RecordsLayout.minCapacityBytes", PHYSRING_RECORDS_MIN_CAPACITY_BYTES);
  VALUE("RecordsLayout.maxCapacityBytes", PHYSRING_RECORDS_MAX_CAPACITY_BYTES);
  VALUE("RecordsLayout.maxHistory", PHYSRING_RECORDS_MAX_HISTORY);
  VALUE("RecordsLayout.maxIndexCount", PHYSRING_RECORDS_MAX_INDEX);
  VALUE("RecordsLayout.minLossyIndexCount", PHYSRING_RECORDS_MIN_LOSSY_INDEX);
  VALUE("RecordsLayout.maxAnnotationBytes", PHYSRING_RECORDS_MAX_ANNOTATION_BYTES);
  VALUE("RecordsLayout.endedOpen", PHYSRING_STREAM_OPEN);
  VALUE("RecordsLayout.endedByProducer", PHYSRING_STREAM_ENDED);
  VALUE("RecordsLayout.endedByDeath", PHYSRING_STREAM_DIED);
  WORD("RecordsLayout.markSequenceWord", physring_record_mark, sequence);
  WORD("RecordsLayout.cursorOffsetWord", physring_record_cursor, position);
  VALUE("RecordHeader.lengthWord", 0);
  VALUE("RecordHeader.sequenceWord", 1);
  VALUE("RecordHeader.words", PHYSRING_RECORD_HEADER_BYTES / 4);
  VALUE("RecordHeader.sizeBytes", PHYSRING_RECORD_HEADER_BYTES);
  VALUE("RecordHeader.paddingBit", (int32_t)PHYSRING_RECORD_PADDING);
  VALUE("RecordHeader.paddingLengthMask", ~PHYSRING_RECORD_PADDING);
  VALUE("RecordsMode.reliable", PHYSRING_RECORDS_RELIABLE);
  VALUE("RecordsMode.lossy", PHYSRING_RECORDS_LOSSY);
  VALUE("StallAction.none", PHYSRING_STALL_NONE);
  VALUE("StallAction.evict", PHYSRING_STALL_EVICT);
  VALUE("StallAction.error", PHYSRING_STALL_ERROR);
  VALUE("Policy.block", PHYSRING_POLICY_BLOCK);
  VALUE("Policy.fail", PHYSRING_POLICY_FAIL);
  VALUE("Policy.drop-newest", PHYSRING_POLICY_DROP_NEWEST);
  VALUE("Policy.drop-oldest", PHYSRING_POLICY_DROP_OLDEST);
}

int main(void) {
  VALUE("LINE_BYTES", PHYSRING_LINE_BYTES);
  VALUE("WORD_BYTES", sizeof(uint32_t));
  VALUE("LAYOUT_VERSION", PHYSRING_LAYOUT_VERSION);
  VALUE("BYTE_ORDER_MARK", PHYSRING_BYTE_ORDER_MARK);
  VALUE("HEADER_BYTES", PHYSRING_HEADER_BYTES);
  VALUE("LOCK_BASE_OFFSET", PHYSRING_LOCK_BASE_OFFSET);
  print_superblock();
  print_directory();
  print_control();
  print_ring();
  print_records();
  puts("\n}");
  return 0;
}
