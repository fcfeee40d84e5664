/* SPDX-License-Identifier: MIT */
/* The bytes of a dump file: docs/table-dump.md.
 *
 *     head | section | section | ... | END section
 *
 * A section is a head of 32 bytes and a payload, both multiples of 8 long. All numbers little-endian. */
#ifndef COMAP_IPC_TABLE_DUMP_H
#define COMAP_IPC_TABLE_DUMP_H

#include <comap/table_dump.h>

#include "layout.h"

#define COMAP_DUMP_MAGIC "cmdump\r\n"        /* 8 bytes; a text-mode copy breaks it */
#define COMAP_DUMP_VERSION 1u
#define COMAP_DUMP_BLOCK_BYTES (1u << 20)    /* about; one entry may be larger */
#define COMAP_DUMP_PAYLOAD_MAX (64u << 20)

struct comap_dump_head {
	uint8_t magic[8];
	uint32_t version;
	uint32_t byte_order;         /* COMAP_BYTE_ORDER_MARK as the writer's machine stores it */
	uint64_t created_ns;         /* CLOCK_REALTIME */
	uint8_t region_uuid[16];
	uint64_t version_max;        /* no entry has a larger version */
	uint64_t reserved;
	uint64_t checksum;           /* XXH3 of the bytes before it */
};

enum comap_dump_kind {
	COMAP_DUMP_TYPE = 1,         /* struct comap_dump_type, then its fields: struct comap_field_shm each */
	COMAP_DUMP_ENTRIES = 2,      /* entries, one after the other */
	COMAP_DUMP_END = 3,          /* struct comap_dump_end; nothing follows */
};

/* A flag of sections: who does not know the kind refuses the file; without it the section is passed over. */
#define COMAP_DUMP_MUST_KNOW 1u

struct comap_dump_section {
	uint32_t kind;
	uint32_t flags;
	uint64_t payload_bytes;
	uint64_t number;             /* 0, 1, 2 ...: none is missing, none stands twice */
	uint64_t checksum;           /* XXH3 of the payload, seeded with the XXH3 of the words before it */
};

struct comap_dump_type {
	char name[32];
	uint32_t size_bytes;
	uint32_t align_bytes;
	uint32_t field_count;
	uint32_t reserved;
};

struct comap_dump_entry {
	uint64_t version;
	uint64_t expires_ns;         /* CLOCK_REALTIME; 0: never */
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t flags;              /* enum comap_dump_entry_flags */
	uint32_t reserved;
	/* key, zeros up to a multiple of 8, value, zeros up to a multiple of 8 */
};

enum comap_dump_entry_flags { COMAP_DUMP_COUNTER = 1 };

struct comap_dump_end {
	uint64_t entries;
	uint64_t stored_bytes;
	uint64_t reserved;
};

_Static_assert(sizeof(struct comap_dump_head) == 64 && sizeof(struct comap_dump_section) == 32 &&
               sizeof(struct comap_dump_type) == 48 && sizeof(struct comap_dump_entry) == 32 &&
               sizeof(struct comap_dump_end) == 24, "the format of dumps");

uint64_t comap__dump_section_checksum(const struct comap_dump_section *section, const void *payload);

#endif
