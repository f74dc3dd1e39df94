/* Prints what physring_fpga.h says, as JSON with the names that src/fpga/layout.ts has for it. */
#include <inttypes.h>
#include <stdio.h>

#include "physring_fpga.h"

static const char *separator = "{";

static void number(const char *name, uint64_t value) {
  printf("%s\"%s\": %" PRIu64, separator, name, value);
  separator = ",\n";
}
#define NUMBER(name, value) number(name, (uint64_t)(value))

int main(void) {
  NUMBER("GlobalRegister.magic", PHYSRING_FPGA_REG_MAGIC);
  NUMBER("GlobalRegister.version", PHYSRING_FPGA_REG_VERSION);
  NUMBER("GlobalRegister.queueCount", PHYSRING_FPGA_REG_QUEUE_COUNT);
  NUMBER("GlobalRegister.busBytes", PHYSRING_FPGA_REG_BUS_BYTES);
  NUMBER("GlobalRegister.opcodes", PHYSRING_FPGA_REG_OPCODES);
  NUMBER("GlobalRegister.maxCapacityLog2", PHYSRING_FPGA_REG_MAX_CAPACITY_LOG2);
  NUMBER("GlobalRegister.maxListEntries", PHYSRING_FPGA_REG_MAX_LIST_ENTRIES);
  NUMBER("GlobalRegister.clockHz", PHYSRING_FPGA_REG_CLOCK_HZ);
  NUMBER("GlobalRegister.outstandingReads", PHYSRING_FPGA_REG_OUTSTANDING_READS);
  NUMBER("GlobalRegister.executors", PHYSRING_FPGA_REG_EXECUTORS);
  NUMBER("GlobalRegister.maxFilterWidth", PHYSRING_FPGA_REG_MAX_FILTER_WIDTH);
  NUMBER("GlobalRegister.maxBurstBytes", PHYSRING_FPGA_REG_MAX_BURST_BYTES);
  NUMBER("HostRegister.control", PHYSRING_FPGA_REG_CONTROL);
  NUMBER("HostRegister.capacityLog2", PHYSRING_FPGA_REG_CAPACITY_LOG2);
  NUMBER("HostRegister.sqBase", PHYSRING_FPGA_REG_SQ_BASE);
  NUMBER("HostRegister.cqBase", PHYSRING_FPGA_REG_CQ_BASE);
  NUMBER("HostRegister.queueWindowBase", PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE);
  NUMBER("HostRegister.queueWindowLimit", PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT);
  NUMBER("HostRegister.dataWindowBase", PHYSRING_FPGA_REG_DATA_WINDOW_BASE);
  NUMBER("HostRegister.dataWindowLimit", PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT);
  NUMBER("HostRegister.interruptCount", PHYSRING_FPGA_REG_INTERRUPT_COUNT);
  NUMBER("HostRegister.interruptCycles", PHYSRING_FPGA_REG_INTERRUPT_CYCLES);
  NUMBER("HostRegister.paceCycles", PHYSRING_FPGA_REG_PACE_CYCLES);
  NUMBER("HostRegister.pacePolicy", PHYSRING_FPGA_REG_PACE_POLICY);
  NUMBER("HostRegister.sqTail", PHYSRING_FPGA_REG_SQ_TAIL);
  NUMBER("HostRegister.cqHead", PHYSRING_FPGA_REG_CQ_HEAD);
  NUMBER("DeviceRegister.state", PHYSRING_FPGA_REG_STATE);
  NUMBER("DeviceRegister.haltCode", PHYSRING_FPGA_REG_HALT_CODE);
  NUMBER("DeviceRegister.sqHead", PHYSRING_FPGA_REG_SQ_HEAD);
  NUMBER("DeviceRegister.cqTail", PHYSRING_FPGA_REG_CQ_TAIL);
  NUMBER("DeviceRegister.interruptEvents", PHYSRING_FPGA_REG_INTERRUPT_EVENTS);
  NUMBER("DeviceRegister.ticks", PHYSRING_FPGA_REG_TICKS);
  NUMBER("DeviceRegister.missed", PHYSRING_FPGA_REG_MISSED);
  NUMBER("DeviceRegister.descriptorFetches", PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES);
  NUMBER("DeviceRegister.listFetches", PHYSRING_FPGA_REG_LIST_FETCHES);
  NUMBER("DeviceRegister.readBursts", PHYSRING_FPGA_REG_READ_BURSTS);
  NUMBER("DeviceRegister.writeBursts", PHYSRING_FPGA_REG_WRITE_BURSTS);
  NUMBER("DeviceRegister.completionWrites", PHYSRING_FPGA_REG_COMPLETION_WRITES);
  NUMBER("DeviceRegister.failedCommands", PHYSRING_FPGA_REG_FAILED_COMMANDS);
  NUMBER("DeviceRegister.busErrors", PHYSRING_FPGA_REG_BUS_ERRORS);
  NUMBER("Opcode.nop", PHYSRING_FPGA_NOP);
  NUMBER("Opcode.copy", PHYSRING_FPGA_COPY);
  NUMBER("Opcode.fill", PHYSRING_FPGA_FILL);
  NUMBER("Opcode.crc32", PHYSRING_FPGA_CRC32);
  NUMBER("Opcode.threshold", PHYSRING_FPGA_THRESHOLD);
  NUMBER("Opcode.filter3x3", PHYSRING_FPGA_FILTER3X3);
  NUMBER("Opcode.source", PHYSRING_FPGA_SOURCE);
  NUMBER("Opcode.sink", PHYSRING_FPGA_SINK);
  NUMBER("Status.OK", PHYSRING_FPGA_OK);
  NUMBER("Status.OPCODE", PHYSRING_FPGA_ERR_OPCODE);
  NUMBER("Status.FLAGS", PHYSRING_FPGA_ERR_FLAGS);
  NUMBER("Status.LENGTH", PHYSRING_FPGA_ERR_LENGTH);
  NUMBER("Status.PARAMETER", PHYSRING_FPGA_ERR_PARAMETER);
  NUMBER("Status.ALIGNMENT", PHYSRING_FPGA_ERR_ALIGNMENT);
  NUMBER("Status.RANGE", PHYSRING_FPGA_ERR_RANGE);
  NUMBER("Status.LIST", PHYSRING_FPGA_ERR_LIST);
  NUMBER("Status.READ_SLVERR", PHYSRING_FPGA_ERR_READ_SLVERR);
  NUMBER("Status.READ_DECERR", PHYSRING_FPGA_ERR_READ_DECERR);
  NUMBER("Status.WRITE_SLVERR", PHYSRING_FPGA_ERR_WRITE_SLVERR);
  NUMBER("Status.WRITE_DECERR", PHYSRING_FPGA_ERR_WRITE_DECERR);
  NUMBER("Status.LIST_SLVERR", PHYSRING_FPGA_ERR_LIST_SLVERR);
  NUMBER("Status.LIST_DECERR", PHYSRING_FPGA_ERR_LIST_DECERR);
  NUMBER("HaltCode.NONE", PHYSRING_FPGA_HALT_NONE);
  NUMBER("HaltCode.FETCH", PHYSRING_FPGA_HALT_FETCH);
  NUMBER("HaltCode.COMPLETE", PHYSRING_FPGA_HALT_COMPLETE);
  NUMBER("HaltCode.STALE", PHYSRING_FPGA_HALT_STALE);
  NUMBER("HaltCode.SQ_TAIL", PHYSRING_FPGA_HALT_SQ_TAIL);
  NUMBER("HaltCode.CQ_HEAD", PHYSRING_FPGA_HALT_CQ_HEAD);
  NUMBER("HaltCode.CONFIG", PHYSRING_FPGA_HALT_CONFIG);
  NUMBER("DescriptorLayout.sizeBytes", sizeof(physring_fpga_descriptor));
  NUMBER("DescriptorLayout.opcodeWord", (offsetof(physring_fpga_descriptor, opcode_flags) + 0u) / 4);
  NUMBER("DescriptorLayout.tagWord", (offsetof(physring_fpga_descriptor, tag) + 0u) / 4);
  NUMBER("DescriptorLayout.sourceLowWord", (offsetof(physring_fpga_descriptor, source) + 0u) / 4);
  NUMBER("DescriptorLayout.sourceHighWord", (offsetof(physring_fpga_descriptor, source) + 4u) / 4);
  NUMBER("DescriptorLayout.destinationLowWord", (offsetof(physring_fpga_descriptor, destination) + 0u) / 4);
  NUMBER("DescriptorLayout.destinationHighWord", (offsetof(physring_fpga_descriptor, destination) + 4u) / 4);
  NUMBER("DescriptorLayout.lengthWord", (offsetof(physring_fpga_descriptor, length_bytes) + 0u) / 4);
  NUMBER("DescriptorLayout.listEntriesWord", (offsetof(physring_fpga_descriptor, list_entries) + 0u) / 4);
  NUMBER("DescriptorLayout.parameterWord", (offsetof(physring_fpga_descriptor, parameter) + 0u) / 4);
  NUMBER("DescriptorLayout.validityWord", (offsetof(physring_fpga_descriptor, validity) + 0u) / 4);
  NUMBER("DescriptorLayout.flagSourceList", PHYSRING_FPGA_FLAG_SOURCE_LIST);
  NUMBER("DescriptorLayout.flagDestinationList", PHYSRING_FPGA_FLAG_DESTINATION_LIST);
  NUMBER("CompletionLayout.sizeBytes", sizeof(physring_fpga_completion));
  NUMBER("CompletionLayout.tagWord", (offsetof(physring_fpga_completion, tag) + 0u) / 4);
  NUMBER("CompletionLayout.statusWord", (offsetof(physring_fpga_completion, status_opcode) + 0u) / 4);
  NUMBER("CompletionLayout.bytesWord", (offsetof(physring_fpga_completion, bytes) + 0u) / 4);
  NUMBER("CompletionLayout.resultWord", (offsetof(physring_fpga_completion, result) + 0u) / 4);
  NUMBER("CompletionLayout.cyclesLowWord", (offsetof(physring_fpga_completion, cycles) + 0u) / 4);
  NUMBER("CompletionLayout.cyclesHighWord", (offsetof(physring_fpga_completion, cycles) + 4u) / 4);
  NUMBER("CompletionLayout.indexWord", (offsetof(physring_fpga_completion, index) + 0u) / 4);
  NUMBER("CompletionLayout.validityWord", (offsetof(physring_fpga_completion, validity) + 0u) / 4);
  NUMBER("ListEntryLayout.sizeBytes", sizeof(physring_fpga_list_entry));
  NUMBER("ListEntryLayout.addressLowWord", (offsetof(physring_fpga_list_entry, address) + 0u) / 4);
  NUMBER("ListEntryLayout.addressHighWord", (offsetof(physring_fpga_list_entry, address) + 4u) / 4);
  NUMBER("ListEntryLayout.bytesWord", (offsetof(physring_fpga_list_entry, bytes) + 0u) / 4);
  NUMBER("ALIGN_BYTES", PHYSRING_FPGA_ALIGN_BYTES);
  NUMBER("MAX_LENGTH_BYTES", PHYSRING_FPGA_MAX_LENGTH_BYTES);
  NUMBER("MAX_LIST_ENTRIES", PHYSRING_FPGA_MAX_LIST_ENTRIES);
  NUMBER("PROTOCOL_VERSION", PHYSRING_FPGA_VERSION);
  NUMBER("PacePolicy.wait", PHYSRING_FPGA_PACE_WAIT);
  NUMBER("PacePolicy.drop-newest", PHYSRING_FPGA_PACE_DROP_NEWEST);
  NUMBER("StopRegisters.fileBytes", PHYSRING_FPGA_REGISTER_BYTES);
  NUMBER("StopRegisters.pageBytes", PHYSRING_FPGA_PAGE_BYTES);
  NUMBER("StopRegisters.magicValue", PHYSRING_FPGA_MAGIC);
  NUMBER("StopRegisters.enable", PHYSRING_FPGA_CONTROL_ENABLE);
  NUMBER("StopRegisters.epochShift", PHYSRING_FPGA_EPOCH_SHIFT);
  NUMBER("StopRegisters.maxEpoch", PHYSRING_FPGA_MAX_EPOCH);
  NUMBER("StopRegisters.stateMask", PHYSRING_FPGA_STATE_MASK);
  NUMBER("StopRegisters.stateIdle", PHYSRING_FPGA_IDLE);
  NUMBER("StopRegisters.stateRunning", PHYSRING_FPGA_RUNNING);
  NUMBER("StopRegisters.stateStopping", PHYSRING_FPGA_STOPPING);
  NUMBER("StopRegisters.stateHalted", PHYSRING_FPGA_HALTED);
  NUMBER("StopRegisters.control", PHYSRING_FPGA_REG_CONTROL);
  NUMBER("StopRegisters.state", PHYSRING_FPGA_REG_STATE);
  NUMBER("StopRegisters.magic", PHYSRING_FPGA_REG_MAGIC);
  NUMBER("QueueMemoryLayout.descriptorBytes", PHYSRING_FPGA_DESCRIPTOR_BYTES);
  NUMBER("QueueMemoryLayout.completionBytes", PHYSRING_FPGA_COMPLETION_BYTES);
  NUMBER("QueueMemoryLayout.listEntryBytes", PHYSRING_FPGA_LIST_ENTRY_BYTES);
  NUMBER("QueueMemoryLayout.minCapacityLog2", PHYSRING_FPGA_MIN_CAPACITY_LOG2);
  NUMBER("QueueMemoryLayout.maxCapacityLog2", PHYSRING_FPGA_MAX_CAPACITY_LOG2);
  NUMBER("QueueMemoryLayout.maxQueues", PHYSRING_FPGA_MAX_QUEUES);
  for (uint32_t index = 0; index < 20; index++) {
    char name[32];
    snprintf(name, sizeof name, "validity.%u", (unsigned)index);
    NUMBER(name, physring_fpga_validity(0xabcde, index * 3, 2));
    snprintf(name, sizeof name, "source.%u", (unsigned)index);
    NUMBER(name, physring_fpga_source_word(0x1234567, index * 0x10001, index));
  }
  NUMBER("page.3", physring_fpga_queue_page(3));
  puts("}");
  return 0;
}
