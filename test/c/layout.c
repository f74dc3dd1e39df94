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
  VALUE("Control.recordsOffset", sizeof(physring_control_header));
  VALUE("ParticipantRecord.capacity", PHYSRING_PARTICIPANTS);
  VALUE("ParticipantRecord.sizeBytes", sizeof(physring_participant));
  WORD("ParticipantRecord.stateWord", physring_participant, state);
  WORD("ParticipantRecord.pidWord", physring_participant, pid);
  WORD("ParticipantRecord.tidWord", physring_participant, tid);
  WORD("ParticipantRecord.pidNamespaceWord", physring_participant, pid_namespace);
  WORD("ParticipantRecord.nameWord", physring_participant, name);
  BYTES("ParticipantRecord.nameBytes", physring_participant, name);
  WORD("ParticipantRecord.doorbellWord", physring_participant, doorbell);
  WORD("ParticipantRecord.sectionWord", physring_participant, section);
  VALUE("ParticipantRecord.phaseFree", PHYSRING_PHASE_FREE);
  VALUE("ParticipantRecord.phaseLive", PHYSRING_PHASE_LIVE);
  VALUE("ParticipantRecord.phaseDying", PHYSRING_PHASE_DYING);
  VALUE("ParticipantRecord.phaseSwept", PHYSRING_PHASE_SWEPT);
  VALUE("ParticipantRecord.phaseMask", PHYSRING_PHASE_MASK);
  VALUE("ParticipantRecord.generationShift", PHYSRING_GENERATION_SHIFT);
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
  WORD("RingLayout.producerOwnerWord", physring_ring_header, producer_owner);
  WORD("RingLayout.consumerOwnerWord", physring_ring_header, consumer_owner);
  WORD("RingLayout.droppedNewestWord", physring_ring_header, dropped_newest);
  WORD("RingLayout.droppedOldestWord", physring_ring_header, dropped_oldest);
  WORD("RingLayout.undoneWord", physring_ring_header, undone);
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
  VALUE("OwnerWord.generationShift", PHYSRING_GENERATION_SHIFT);
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
  puts("\n}");
  return 0;
}
