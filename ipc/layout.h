/* SPDX-License-Identifier: MIT */
/* Everything that lies in a region file, byte by byte.
 *
 *   offset     part        one element                  who writes
 *   0          identity    struct comap_identity_shm    the creator, once; checksummed; then nobody
 *   64 KiB     control     struct comap_control_shm     attached processes, field by field below
 *   objects    directory   struct comap_object_shm      holder of the directory mutex
 *   seats      seats       struct comap_seat_shm        the process on the seat; sweepers
 *   threads    records     struct comap_thread_shm      the thread; sweepers of a dead one
 *   rings      retired     struct comap_ring_shm        as the record of the same number
 *   cells      cells       128 bytes each               what attached readers must write
 *   pages      descriptors struct comap_page_shm        allocators, by CAS
 *   heap       heap pages  64 KiB each                  owner of a PRIVATE block; then nobody
 *
 * The offsets of the parts are in the identity; each part but the last has its full length from the
 * start (as a hole), so that nothing ever moves. Space is allocated before it is touched, and only
 * what lies below a high-water mark in the control part is touched.
 *
 * Rules: fixed-width fields, little-endian, no pointers, no libc types; every offset asserted; a
 * reference is a struct comap_ref and is resolved only through comap__at(). Each field says
 * W: who writes it, R: who reads it, X: what is left when the writer dies there. */
#ifndef COMAP_IPC_LAYOUT_H
#define COMAP_IPC_LAYOUT_H

#include <comap/word.h>

#define COMAP_MAGIC "comap\r\n\x1a"          /* 8 bytes; a text-mode copy breaks it */
#define COMAP_FORMAT_VERSION 1u
#define COMAP_BYTE_ORDER_MARK 0x0a0b0c0du

#define COMAP_PART_ALIGN_BYTES 65536u        /* the largest page size of any Linux we know */
#define COMAP_IDENTITY_BYTES 65536u
#define COMAP_HEAP_ALIGN_BYTES (2u << 20)
#define COMAP_CELL_BYTES 128u
#define COMAP_HEAP_PAGE_BYTES 65536u
#define COMAP_RING_ENTRIES 256u

#define COMAP_OBJECT_NAME_BYTES 48u
#define COMAP_SEAT_NAME_BYTES 32u

/* Where in the region: bytes from its start, 0 for nowhere. A struct, so that it is no number. */
struct comap_ref { uint64_t offset_bytes; };

/* A token names a seat or a thread for the time that it is the same one: {generation + 1:44,
 * index:16}. 0 is nobody. 60 bits, so that a state of four bits fits beside it. */
static inline uint64_t comap__token(uint64_t generation, uint32_t index)
{
	return (generation + 1) << 16 | index;
}
static inline uint32_t comap__token_index(uint64_t token) { return (uint32_t)(token & 0xffff); }
static inline uint64_t comap__token_generation(uint64_t token) { return (token >> 16) - 1; }

/* Identity: what this file is. Checked on every open; mapped read-only everywhere.
 * W: creator before the file has a name. R: everybody. X: the file never gets its name. */
struct comap_identity_shm {
	uint8_t magic[8];
	uint32_t format_version;
	uint32_t byte_order;         /* COMAP_BYTE_ORDER_MARK as the writer's machine stores it */
	uint64_t compat;             /* unknown bits: ignore */
	uint64_t read_only_compat;   /* unknown bits: guests may read, nobody attaches */
	uint64_t incompat;           /* unknown bits: refuse */
	uint64_t fingerprint;        /* hash of the layout below: two builds that disagree notice */
	uint8_t uuid[16];
	uint64_t hash_seed[2];       /* of keyed hashes, against flooding */
	uint32_t barrier_mode;       /* enum comap_barrier_mode */
	uint32_t page_bytes;         /* of the creator's machine */
	uint32_t seat_count;
	uint32_t thread_count;       /* records: one more than threads, see COMAP_JANITOR_RECORD */
	uint32_t object_count;
	uint32_t pin_policy;         /* enum comap_pin_policy */
	uint64_t birth_time_ns;      /* CLOCK_REALTIME */
	uint64_t birth_device;       /* st_dev and st_ino: a copy of the file is not the region */
	uint64_t birth_inode;
	uint64_t objects_offset_bytes;
	uint64_t seats_offset_bytes;
	uint64_t threads_offset_bytes;
	uint64_t rings_offset_bytes;
	uint64_t cells_offset_bytes;
	uint64_t cells_max_bytes;
	uint64_t pages_offset_bytes;
	uint64_t heap_offset_bytes;
	uint64_t heap_max_bytes;
	uint64_t pin_budget_bytes;   /* so much may wait for readers */
	uint64_t checksum;           /* XXH64, seed 0, of all bytes of this struct before it */
};

enum comap_barrier_mode {
	COMAP_BARRIER_ASYMMETRIC = 1, /* readers: compiler barrier; reclaimers: membarrier() */
	COMAP_BARRIER_FENCED = 2,     /* both: full fence */
};

/* Control: the words that the whole region shares. Hot words stand on lines of their own. */
struct comap_control_shm {
	/* line 0. The grace-period counter, starts at 1.
	 * W: synchronizers, fetch_add. R: every reader at the start of a section. X: a larger number. */
	struct comap_u64 epoch;
	uint8_t pad0[120];

	/* line 1. The newest ticket whose grace period is over.  W: synchronizers, atomic max. */
	struct comap_u64 completed;
	/* Below it, memory may be in use again.  W: reclaimers, atomic max, before a block is FREE.
	 * R: guests and evictable readers, after their copy. */
	struct comap_u64 horizon;
	uint8_t pad1[112];

	/* line 2. How far the parts are allocated.  W: atomic max, after the space is allocated. */
	struct comap_u64 heap_committed_bytes;
	struct comap_u32 seat_high_water;    /* seats below it are allocated */
	struct comap_u32 thread_high_water;
	struct comap_u32 object_high_water;
	struct comap_u32 cell_high_water;
	struct comap_u64 heap_used_hint_pages; /* where the search for free pages may start */
	struct comap_u64 retired_bytes;      /* W: add at retire, subtract at free. A statistic */
	uint8_t pad2[88];

	/* line 3. Life of the region. */
	struct comap_u64 attach;             /* attach count << 1 | clean */
	struct comap_u64 superseded;         /* 0, or when (CLOCK_REALTIME ns) the name went away */
	struct comap_u64 home_device;        /* where the file lives: birth, or an adopted copy */
	struct comap_u64 home_inode;
	uint8_t boot_id[16];                 /* of the kernel under which it was last attached */
	struct comap_u64 directory_mutex;    /* a mutex word: mutex.c */
	struct comap_u32 directory_waiting;  /* a flag word: somebody waits for an object to appear */
	uint8_t pad3[68];

	/* line 4. Counters. W: anybody, relaxed adds. */
	struct comap_u64 grace_periods;
	struct comap_u64 deaths;             /* seats found dead */
	struct comap_u64 sweeps;             /* seats swept */
	struct comap_u64 adopted_blocks;     /* blocks of dead processes: freed, published or retired */
	struct comap_u64 evictions;          /* evictable sections that a writer has ended */
	uint8_t pad4[88];
};

/* One attached process. */
struct comap_seat_shm {
	/* {generation:44, state:2}. FREE -> LIVE by the claimer who holds the byte lock; LIVE -> DEAD by
	 * anybody who finds the lock free; DEAD -> FREE(generation + 1) by the sweeper; LIVE ->
	 * FREE(generation + 1) by its owner at detach. All by CAS. */
	struct comap_u64 state;
	/* Who sweeps a DEAD seat: a mutex word.  X: taken over by the next sweeper. */
	struct comap_u64 sweeper;
	/* The rest: W: holder of the byte lock, before LIVE. R: tools. X: overwritten by the next one. */
	struct comap_u64 pid_namespace;      /* st_ino of /proc/self/ns/pid */
	struct comap_u64 start_time;         /* of the process, clock ticks since boot */
	struct comap_u64 attached_ns;        /* CLOCK_REALTIME */
	struct comap_u32 pid;                /* in its own namespace */
	struct comap_u32 capabilities;       /* bit 0: registered for membarrier */
	char name[COMAP_SEAT_NAME_BYTES];
	struct comap_u64 time_namespace;     /* st_ino of /proc/self/ns/time, 0: the kernel has none */
	struct comap_u64 evictions;          /* of this process's sections. W: who evicts, relaxed adds */
	uint8_t pad[32];
};

enum comap_seat_state { COMAP_SEAT_FREE = 0, COMAP_SEAT_LIVE = 1, COMAP_SEAT_DEAD = 2 };

/* What a thread is about to do with a block, for whoever finds it dead: {op, old, new, link}.
 * W: the thread: the refs first, `op` last (release); cleared after the last step.
 * X: comap__intent_repair() finishes the operation or takes it back. */
struct comap_intent_shm {
	struct comap_u64 op;                 /* enum comap_intent_op */
	struct comap_u64 old_ref;
	struct comap_u64 new_ref;
	struct comap_u64 link;               /* the word that says new or old */
};

enum comap_intent_op {
	COMAP_INTENT_NONE = 0,
	COMAP_INTENT_REPLACE = 1,            /* link: old -> new; then new is PUBLISHED, old is RETIRED */
};

enum comap_park_state { COMAP_PARK_NONE = 0, COMAP_PARK_PARKED = 1, COMAP_PARK_OUSTED = 2 };

/* Record 0 belongs to no thread in particular: whoever has to sweep and finds no record free (the dead
 * hold them all) does it in this one's name. It has no sections, no ring, no intent; from a dead owner
 * it is taken over by CAS from the dead one's exact word. */
#define COMAP_JANITOR_RECORD 0u
#define COMAP_FIRST_RECORD 1u

/* One thread of an attached process. */
struct comap_thread_shm {
	/* epoch << 12 | evictable << 11 | parked << 10 | nesting; 0: quiescent. W: the owner, and nobody else ever.
	 * X: stays; whoever scans reads `owner` beside it, and the next owner's first store clears it. */
	struct comap_u64 mark;
	/* The seat's token << 1 | 1; 0: free. W: claimer by CAS; owner or sweeper at the end. */
	struct comap_u64 owner;
	/* Counts the owners. {tenure + 1, record} is the token by which blocks and locks name a thread;
	 * it is raised before the record is free again, so a token is never used twice.
	 * W: owner at its end, sweeper. */
	struct comap_u64 tenure;
	/* The ring of retired blocks: entries [tail, head). W: owner; then sweeper or next owner.
	 * X: stays; the next owner of the record drains it. */
	struct comap_u64 ring_head;
	struct comap_u64 ring_tail;
	struct comap_u32 thread_id;
	/* A futex: a synchronizer asks a proxy for a report. W: synchronizers set it, the proxy's helper
	 * exchanges it to 0.  X: nobody asks a dead one. */
	struct comap_u32 request;
	/* {epoch:52, state:2}: the section that may be ended by others: a parked one, or an evictable one
	 * in which no pinned one is open. W: the owner, when it parks, resumes, pins and unpins; a
	 * synchronizer from PARKED to OUSTED. By CAS, but for the owner's first store.
	 * X: its seat is dead. */
	struct comap_u64 park;
	struct comap_u32 proxy;              /* 1: the mark stands for all threads of a host's flavour */
	uint32_t reserved;
	struct comap_intent_shm intent;
	uint8_t pad2[32];
};

/* The ring of a thread record: blocks that wait for a grace period, oldest first. `stamp` is the R of
 * the block's RETIRED(R): an entry whose block says something else is void. (A block is used again
 * only after the epoch has passed R, so it is never retired with the same stamp twice.) */
struct comap_ring_shm {
	struct { struct comap_u64 ref, stamp; } entries[COMAP_RING_ENTRIES];
};

/* One page of the heap. A page is part of a run (one block of whole pages) or holds many blocks of
 * one size class, whose state words then stand at the start of the page itself.
 *
 * word: kind in bits 0-3, the rest by kind:
 *   FREE                     nobody's
 *   CLAIMED  {token:60}      head of a run that its owner is still collecting or giving back
 *   TAIL     {head page:60}  belongs to the run that begins there
 *   RUN      {pages:60}      head of a run
 *   CLASS    {token:60}      blocks of one size; allocated from by that thread only (0: by nobody)
 *   FORMING  {token:60}      about to become CLASS
 * W: by CAS, from FREE by anybody, from the other kinds as heap.c says. */
struct comap_page_shm {
	struct comap_u64 word;
	struct comap_u64 state;              /* RUN: state word of the block */
	struct comap_u32 block_bytes;        /* CLASS: size of its blocks. W: claimer while FORMING */
	struct comap_u32 block_count;
	struct comap_u32 free_hint;          /* CLASS: about how many blocks are free. Relaxed, a hint */
	struct comap_u32 reserved;
};

enum comap_page_kind {
	COMAP_PAGE_FREE = 0,
	COMAP_PAGE_CLAIMED = 1,
	COMAP_PAGE_TAIL = 2,
	COMAP_PAGE_RUN = 3,
	COMAP_PAGE_FORMING = 4,
	COMAP_PAGE_CLASS = 5,
};

/* State word of a block: state in bits 0-3.
 *   FREE                     zero: a page fresh from the file system holds free blocks
 *   PRIVATE   {token:60}     being built by that thread
 *   PUBLISHED                linked somewhere
 *   RETIRED   {R:60}         unlinked; free again when `completed` > R
 *   FREEING   {token:60}     a run on its way to FREE (blocks of a class go there in one step) */
enum comap_block_state {
	COMAP_BLOCK_FREE = 0,
	COMAP_BLOCK_PRIVATE = 1,
	COMAP_BLOCK_PUBLISHED = 2,
	COMAP_BLOCK_RETIRED = 3,
	COMAP_BLOCK_FREEING = 4,
};

/* A named thing. */
struct comap_field_shm {
	char name[32];
	uint32_t kind;
	uint32_t offset_bytes;
	uint32_t size_bytes;
	uint32_t reserved;
};

struct comap_object_shm {
	/* enum comap_object_state. W: holder of the directory mutex; LIVE is stored last (release).
	 * X: not LIVE: overwritten by the next creation. */
	struct comap_u64 state;
	struct comap_u64 cell_ref;           /* its shared struct */
	uint32_t cell_count;
	uint32_t kind;                       /* enum comap_object_kind */
	uint64_t created_ns;                 /* CLOCK_REALTIME */
	char name[COMAP_OBJECT_NAME_BYTES];
	/* The field list; field_count 0: untyped bytes. */
	char type_name[32];
	uint32_t type_size_bytes;
	uint32_t type_align_bytes;
	uint32_t field_count;
	uint32_t reserved;
	struct comap_field_shm fields[32];
	uint8_t pad[384];
};

enum comap_object_state { COMAP_OBJECT_EMPTY = 0, COMAP_OBJECT_LIVE = 1 };

/* A published value: one cell. */
struct comap_value_shm {
	/* Ref of the current block, 0: nothing published yet.  W: the publisher; [edge value.publish] is
	 * the commit point. R: everybody. X: old or new, both whole. */
	struct comap_u64 current;
	/* A flag word that readers sleep on: futex.h.  W: sleepers set the flag, the publisher clears it. */
	struct comap_u32 waiting;
	uint32_t reserved;
	uint8_t pad[48];
	/* Who may publish: a seat's token, or 0.  W: CAS from 0 or from a dead seat's. */
	struct comap_u64 publisher;
	struct comap_u64 role_changes;       /* W: the publisher, when it takes the role */
	uint8_t pad2[48];
};

/* In front of a value's bytes, in its block. W: the publisher while the block is PRIVATE. */
struct comap_value_head_shm {
	struct comap_u64 version;            /* 1, 2, 3 ... */
	struct comap_u64 size_bytes;
	struct comap_u64 published_ns;       /* CLOCK_REALTIME */
	struct comap_u64 reserved[5];        /* the bytes begin on a line of their own */
};

/* A table: two cells for the whole, then two sides of COMAP_STRIPES stripes of three cells each, each a
 * hash table of its own: linear hashing, in segments that never move; then the turns of all stripes.
 * table.c has the picture. One side is in use; the other one is empty, or being filled by a bulk load, or
 * being emptied after one. */
#define COMAP_STRIPES 64u                    /* of a side */
#define COMAP_TABLE_SIDES 2u
#define COMAP_STRIPE_SEGMENTS 31u
#define COMAP_BUCKET_SLOTS 7u
#define COMAP_REF_LINK 1ull                  /* in a slot: the ref of an overflow bucket, not of an entry */
#define COMAP_REF_FLAGS 7ull                 /* blocks are aligned to 64: these bits are no address */

struct comap_table_shm {
	struct comap_u64 default_ttl_ns;     /* 0: entries stay. W: anybody. R: writers. X: old or new */
	struct comap_u32 waiting;            /* a flag word: somebody waits for any change */
	uint32_t reserved;
	/* Ref of the struct comap_cache_shm of a cache; 0: a store. W: the creator, before it has a name. */
	struct comap_u64 cache_ref;
	uint8_t pad[104];
	/* A line that every reader loads and hardly anybody writes.
	 * swaps: how many bulk loads have been published; the stripes in use are those of side swaps & 1.
	 * W: the loader, who holds all stripes of that side. R: everybody. X: old or new, both whole */
	struct comap_u64 swaps;
	/* Who fills or empties the other side: a seat's token, or 0.  W: CAS from 0 or from a dead seat's. */
	struct comap_u64 loader;
	/* 1: the other side may hold something, or readers of it may be left.  W: the loader.  X: stays,
	 * and the next loader, or writers that come by, empty it. */
	struct comap_u64 spare;
	struct comap_u64 skipped[2];         /* by side: versions that were never given, of all stripes */
	uint8_t pad2[88];
};

enum comap_journal_op {
	COMAP_JOURNAL_NONE = 0,
	COMAP_JOURNAL_SLOT = 1,              /* the word at `link` becomes `word`: then the counts below hold */
	COMAP_JOURNAL_SPLIT = 2,             /* bucket number `word` is built, then published */
};

enum comap_mortal {
	COMAP_MORTAL_NONE = 0,
	COMAP_MORTAL_SOME = 1,               /* there have been some */
	COMAP_MORTAL_MANY = 2,               /* the last look found some that were over */
};

struct comap_stripe_shm {
	/* Cell 0. W: holder of the mutex (a mutex word: mutex.c).  X: the next holder repairs. */
	struct comap_u64 mutex;
	struct comap_u64 sequence;           /* all versions up to it are given and settled: table_watch.c */
	struct comap_u64 entries;
	struct comap_u64 stored_bytes;       /* keys and values */
	/* What a death in the middle would leave open. `op` is stored last at the start, first cleared. */
	struct comap_u64 journal_op;         /* enum comap_journal_op */
	struct comap_u64 journal_link;
	struct comap_u64 journal_word;
	struct comap_u64 journal_entries;
	struct comap_u64 journal_bytes;
	struct comap_u64 unrepaired;         /* 1: a taker could not repair; the next one must */
	struct comap_u64 hand;               /* the bucket that is looked through for expired entries next */
	struct comap_u64 mortal;             /* enum comap_mortal: are there entries that expire? */
	struct comap_u64 expired;            /* statistics from here on */
	struct comap_u64 repairs;
	struct comap_u64 overflows;          /* buckets chained behind others */
	struct comap_u32 waiting;            /* a flag word: somebody waits for a key of the stripe */
	struct comap_u32 turns;              /* how many of the stripe's turns are taken */
	/* Cells 1 and 2. W: as above, seldom. R: every reader.  shape: the number of buckets; 0: none. */
	struct comap_u64 shape;
	struct comap_u64 segments[COMAP_STRIPE_SEGMENTS];
};

/* What a table has beside when it is a cache: this, a struct for each stripe, the marks, the ghosts; all in
 * cells, one after the other. table_cache.c and table_evict.c have the pictures. */
struct comap_cache_shm {
	struct comap_u64 budget_bytes;       /* W: anybody. R: writers. X: old or new */
	/* Fixed by the creator. */
	struct comap_u64 fixed_bytes;        /* of these cells */
	struct comap_u64 mark_count;         /* powers of two: marks; ghosts of a stripe */
	struct comap_u64 ghost_count;
	struct comap_u64 segment_bytes;      /* of a queue's segments */
	uint8_t pad[24];
	/* A line that writers share. used: what all stripes have told, and what writers have reserved.
	 * X: too large or too small by what the dead one was about; recounted now and then. */
	struct comap_u64 used_bytes;
	struct comap_u64 hand;               /* the stripe that gives something up next */
	uint8_t pad2[48];
};

/* First in, first out: which entries came when. Positions count from 0 and never come again. Segments
 * are blocks of the heap, linked by their refs.
 * W: holder of the stripe's mutex.  X: a word that was pushed and not counted is not there. */
struct comap_queue_shm {
	struct comap_u64 first;              /* ref of the segment with position `begin` */
	struct comap_u64 last;               /* a hint: this one or one behind it is the last */
	struct comap_u64 begin;
	struct comap_u64 end;
};

enum comap_queue { COMAP_QUEUE_SMALL = 0, COMAP_QUEUE_MAIN = 1, COMAP_QUEUES = 2 };

/* Why an entry came or went. */
enum comap_event {
	COMAP_EVENT_INSERTED = 0,
	COMAP_EVENT_REPLACED = 1,
	COMAP_EVENT_REMOVED = 2,
	COMAP_EVENT_EXPIRED = 3,
	COMAP_EVENT_OVER_BUDGET = 4,
	COMAP_EVENT_HEAP_FULL = 5,
	COMAP_EVENTS = 6,
};

/* A stripe of a cache. W: holder of the stripe's mutex. X: as the stripe; the overhead is counted anew. */
struct comap_cache_stripe_shm {
	struct comap_u64 entry_bytes;        /* of the blocks that entries take; by the journal */
	struct comap_u64 overhead_bytes;     /* of buckets and queues */
	struct comap_u64 told_bytes;         /* what used_bytes knows of these two */
	struct comap_u64 demoted;            /* a clock for ghosts: entries given up from the small queue */
	/* Beside the stripe's journal: valid when that is. */
	struct comap_u64 journal_bytes;
	struct comap_u64 journal_event;      /* which of `events` becomes ... */
	struct comap_u64 journal_count;
	uint64_t reserved;
	struct comap_u64 events[COMAP_EVENTS];
	uint8_t pad[16];
	struct comap_queue_shm queues[COMAP_QUEUES];
	uint8_t pad2[64];
};

/* W: holder of the stripe's mutex; nobody else reads it. */
struct comap_queue_segment_shm {
	struct comap_u64 next;               /* ref, 0: none yet */
	struct comap_u64 base;               /* the position of words[0] */
	struct comap_u32 words[];            /* low 24 bits of the hash | its bits 48..55 */
};

/* Who computes a key that others miss: table_turn.c. Behind the stripes, so many for each of a side; those of
 * both sides share them.
 * W: holder of the stripe's mutex; `waiting` and `sentry`: those who wait, by atomic operations.
 * R: those who wait. X: a turn of a dead owner is taken over; the count in the stripe is repaired. */
struct comap_turn_shm {
	struct comap_u64 owner;              /* a thread token, 0: free. Stored last at the start, first cleared */
	struct comap_u64 hash;               /* of the key */
	struct comap_u64 ticket;             /* counts the turns that were taken here */
	struct comap_u32 waiting;            /* a flag word: somebody waits for the end of the turn */
	struct comap_u32 sentry;             /* 1 + record of the one who looks often whether the owner lives */
};

#define COMAP_STRIPE_TURNS 8u

/* 64 bytes. tags: byte i belongs to slot i; the top byte counts the times that entries have moved
 * within the chain. A slot is 0, an entry's ref, or (the last slot only) the next bucket's | LINK.
 * W: holder of the stripe's mutex. R: everybody. X: a tag whose slot is 0 means nothing. */
struct comap_bucket_shm {
	struct comap_u64 tags;
	struct comap_u64 slots[COMAP_BUCKET_SLOTS];
};

/* An entry begins with
 *     {version:44, flags:4, key_bytes:8, value_bytes:8}
 *     {key_bytes:32, value_bytes:32}           with WIDE; the lengths above are 0 then
 *     {when it expires, CLOCK_REALTIME ns}     with MORTAL; 0: never. Changed in place
 * then the key, zeros up to a multiple of 8, the value; in a cache, at the next multiple of 8, a word
 *     {position:63, queue:1}                   where its word stands, by which it is evicted. In place
 * W: its writer while PRIVATE; afterwards only the
 * expiry, by the holder of the mutex, and the value of a COUNTER, 8 bytes, by anybody, atomically. */
struct comap_entry_shm {
	struct comap_u64 head;
	struct comap_u64 words[];
};

enum comap_entry_flags {
	COMAP_ENTRY_WIDE = 1,
	COMAP_ENTRY_MORTAL = 2,
	COMAP_ENTRY_COUNTER = 4,
	COMAP_ENTRY_ABSENT = 8,              /* the source has no such key. Always MORTAL, without a value */
};

#define COMAP__LAYOUT_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), #type " has another size");
#define COMAP__LAYOUT_OFFSET(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), #type "." #field " has moved");

/* name, size; field offsets. The list is also what the fingerprint is made of (region.c). */
#define COMAP_LAYOUT_MAP(SIZE, OFFSET) \
	SIZE(comap_identity_shm, 216) \
	OFFSET(comap_identity_shm, format_version, 8) \
	OFFSET(comap_identity_shm, compat, 16) \
	OFFSET(comap_identity_shm, fingerprint, 40) \
	OFFSET(comap_identity_shm, uuid, 48) \
	OFFSET(comap_identity_shm, hash_seed, 64) \
	OFFSET(comap_identity_shm, barrier_mode, 80) \
	OFFSET(comap_identity_shm, birth_time_ns, 104) \
	OFFSET(comap_identity_shm, objects_offset_bytes, 128) \
	OFFSET(comap_identity_shm, heap_max_bytes, 192) \
	OFFSET(comap_identity_shm, checksum, 208) \
	SIZE(comap_control_shm, 640) \
	OFFSET(comap_control_shm, epoch, 0) \
	OFFSET(comap_control_shm, completed, 128) \
	OFFSET(comap_control_shm, horizon, 136) \
	OFFSET(comap_control_shm, heap_committed_bytes, 256) \
	OFFSET(comap_control_shm, heap_used_hint_pages, 280) \
	OFFSET(comap_control_shm, attach, 384) \
	OFFSET(comap_control_shm, directory_mutex, 432) \
	OFFSET(comap_control_shm, grace_periods, 512) \
	OFFSET(comap_control_shm, evictions, 544) \
	SIZE(comap_seat_shm, 128) \
	OFFSET(comap_seat_shm, sweeper, 8) \
	OFFSET(comap_seat_shm, pid, 40) \
	OFFSET(comap_seat_shm, name, 48) \
	OFFSET(comap_seat_shm, time_namespace, 80) \
	OFFSET(comap_seat_shm, evictions, 88) \
	SIZE(comap_thread_shm, 128) \
	OFFSET(comap_thread_shm, owner, 8) \
	OFFSET(comap_thread_shm, tenure, 16) \
	OFFSET(comap_thread_shm, ring_head, 24) \
	OFFSET(comap_thread_shm, thread_id, 40) \
	OFFSET(comap_thread_shm, park, 48) \
	OFFSET(comap_thread_shm, intent, 64) \
	SIZE(comap_ring_shm, 4096) \
	SIZE(comap_page_shm, 32) \
	OFFSET(comap_page_shm, state, 8) \
	OFFSET(comap_page_shm, block_bytes, 16) \
	SIZE(comap_field_shm, 48) \
	SIZE(comap_object_shm, 2048) \
	OFFSET(comap_object_shm, name, 32) \
	OFFSET(comap_object_shm, type_name, 80) \
	OFFSET(comap_object_shm, fields, 128) \
	SIZE(comap_value_shm, 128) \
	OFFSET(comap_value_shm, waiting, 8) \
	OFFSET(comap_value_shm, publisher, 64) \
	SIZE(comap_value_head_shm, 64) \
	SIZE(comap_table_shm, 256) \
	OFFSET(comap_table_shm, waiting, 8) \
	OFFSET(comap_table_shm, swaps, 128) \
	OFFSET(comap_table_shm, cache_ref, 16) \
	SIZE(comap_cache_shm, 128) \
	OFFSET(comap_cache_shm, used_bytes, 64) \
	SIZE(comap_queue_shm, 32) \
	SIZE(comap_cache_stripe_shm, 256) \
	OFFSET(comap_cache_stripe_shm, events, 64) \
	OFFSET(comap_cache_stripe_shm, queues, 128) \
	SIZE(comap_queue_segment_shm, 16) \
	SIZE(comap_stripe_shm, 384) \
	OFFSET(comap_stripe_shm, journal_op, 32) \
	OFFSET(comap_stripe_shm, unrepaired, 72) \
	OFFSET(comap_stripe_shm, shape, 128) \
	OFFSET(comap_stripe_shm, waiting, 120) \
	SIZE(comap_turn_shm, 32) \
	SIZE(comap_bucket_shm, 64) \
	SIZE(comap_entry_shm, 8)

COMAP_LAYOUT_MAP(COMAP__LAYOUT_SIZE, COMAP__LAYOUT_OFFSET)

#endif
