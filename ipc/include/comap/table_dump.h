/* SPDX-License-Identifier: MIT */
/* Dumps: a table's contents in a file of their own, and back.
 *
 * A dump is a stream of blocks, each with its checksum (docs/table-dump.md has the bytes). It holds keys,
 * values, versions, times of expiry, which entries are counters, and the field list of the values; it
 * belongs to no region, boot or machine (of one byte order) and is read by later versions. The file appears
 * under its name when it is whole and on disk, in place of an older one: written beside, flushed, renamed.
 *
 * A restore reads a dump into a bulk load (table_bulk.h) and publishes it when the last checksum was right:
 * the table's new contents are exactly the dump's, or what they were. Entries whose time is over meanwhile
 * are left out. Versions are new: above all of the dump's and all that the table has given.
 *
 * A cache (comap_table_open_with()) is not loaded in bulk: when the file has been found whole its entries are
 * put one by one over what is there, evicting as writes do. */
#ifndef COMAP_TABLE_DUMP_H
#define COMAP_TABLE_DUMP_H

#include <comap/table.h>

COMAP_BEGIN_DECLS

enum comap_dump_mode {
	/* All entries of one moment. Writers are held up while the refs of all entries are copied, some
	 * nanoseconds each; then memory that they replace is held back until the file is written, and where
	 * that exceeds the region's pin budget their writes are -EBUSY. Counters: as of when they are written.
	 * Needs a seat, and 8 bytes of memory per entry. */
	COMAP_DUMP_AT_ONCE = 0,
	/* Each entry as of some moment of the dump, as comap_table_walk_next() meets it: nobody is held up,
	 * nothing is held back. For guests too. */
	COMAP_DUMP_BY_AND_BY = 1,
};

struct comap_dump_report {
	uint64_t entries;          /* in the file; restore: put into the table */
	uint64_t expired;          /* restore: left out because their time is over */
	uint64_t stored_bytes;     /* keys and values */
	uint64_t file_bytes;
	uint64_t created_ns;       /* CLOCK_REALTIME, of the dump */
	uint64_t pause_ns;         /* dump: so long was the first stripe locked */
};

/* Dumps the table into `path`; `mode`: enum comap_dump_mode. ret_report may be NULL. Errors: those of
 * files; -ETIMEDOUT: a writer that is stopped holds a part of the table, the error names it; -ENOMEM;
 * -EDEADLK inside a read section. An older file of the name is untouched then. */
COMAP_API int comap_table_dump(struct comap_table *table, const char *path, uint32_t mode,
                               struct comap_dump_report *ret_report);

/* The table's contents from now on are the dump's. -EBADMSG: the file is damaged, and the error says
 * where; -EPROTONOSUPPORT: of a newer version, or another byte order; -EPROTOTYPE: its field list does not
 * fit; errors of bulk loads. Nothing has changed then. */
COMAP_API int comap_table_restore(struct comap_table *table, const char *path,
                                  struct comap_dump_report *ret_report);

/* Is this a whole dump? Reads all of it; needs no table. Errors as above. */
COMAP_API int comap_dump_check(const char *path, struct comap_dump_report *ret_report);

COMAP_END_DECLS
#endif
