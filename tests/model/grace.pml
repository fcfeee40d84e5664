/* SPDX-License-Identifier: MIT */
/* The grace period: comap_read_begin, comap_read_end, comap_synchronize, thread registration.
 *
 * What is modelled. Readers enter and leave sections, load the one pointer and look at its block.
 * Writers exchange the pointer, run comap_synchronize and give the old block back. Claim: no reader
 * looks at a block that was given back (assertion: freed).
 *
 * Line by line. reader(): load epoch, store mark, [fence], load pointer, look, store 0 to the mark =
 * comap_read_begin .. comap_read_end. attach(): register for the barrier, claim, raise the
 * high-water mark = registration of a thread. writer(): fetch_add of epoch, membarrier or fence,
 * high-water mark, one pass over the marks, completed = comap_synchronize. With EVICTABLE all sections
 * are evictable ones and writers end them at any time: park word before mark, oust() by CAS, is_ousted();
 * what a section has read counts unless the park word says OUSTED afterwards (assertion: freed_unseen).
 * With PIN it opens a pinned section within, by CAS, which empties its store buffer as any locked
 * instruction does; what that one sees counts at once (freed).
 *
 * Memory. Each reader has a store buffer, first in, first out, that lands at any later time: its
 * mark and its high-water store. A fence empties its own buffer; a membarrier empties those of the
 * registered, one after the other. Loads are in order, except where NO_ACQUIRE lets the pointer be
 * loaded before the epoch; a barrier in between throws the early value away. The writers' exchange
 * and fetch_add are read-modify-writes with acquire and release, taken as one step each.
 *
 * Not modelled: nesting (one word), waiting by futex (wake.pml), death of readers (death.pml),
 * reuse of blocks (reuse.pml).
 *
 * run fast holds asymmetric
 * run fast holds fenced-region             -DFENCED_REGION -DFENCING=3
 * run fast holds self-fencing-unregistered -DUNREGISTERED=2 -DFENCING=2
 * run fast holds all-self-fencing          -DUNREGISTERED=3 -DFENCING=3
 * run fast holds no-acquire-barrier-first  -DNO_ACQUIRE -DBARRIER_FIRST
 * run fast holds reader-attaches           -DLATE -DPERIODS=1
 * run fast holds two-synchronizers         -DREADERS=1 -DWRITERS=2 -DPERIODS=1 -DWRITER_DIES
 * run fast fails no-acquire                -DNO_ACQUIRE                    : freed
 * run fast fails no-membarrier             -DFENCED_REGION                 : freed
 * run fast fails unregistered-not-fencing  -DUNREGISTERED=2                : freed
 * run fast fails fence-by-writer-only      -DFENCED_REGION -DFENCING=2     : freed
 * run fast fails one-bit-parity            -DPARITY                        : freed
 * run fast fails unlock-without-release    -DNO_RELEASE                    : freed
 * run fast fails high-water-before-barrier -DLATE -DPERIODS=1 -DHIGH_EARLY : freed
 * run fast fails registers-after-reading   -DLATE -DPERIODS=1 -DREGISTER_LATE : freed
 * run fast fails ticket-one-too-old        -DREADERS=1 -DWRITERS=2 -DPERIODS=1 -DTICKET_SHORT : freed
 * run fast holds evictable                 -DEVICTABLE -DREADERS=1
 * run fast holds evictable-pins-within     -DEVICTABLE -DPIN -DREADERS=1
 * run fast holds evictable-fenced          -DEVICTABLE -DPIN -DREADERS=1 -DFENCED_REGION -DFENCING=1
 * run fast fails evictable-no-membarrier   -DEVICTABLE -DREADERS=1 -DFENCED_REGION : freed_unseen
 * run fast fails evicts-without-word       -DEVICTABLE -DREADERS=1 -DEVICT_PASS   : freed_unseen
 * run fast fails pins-by-store             -DEVICTABLE -DPIN -DREADERS=1 -DPIN_STORE : freed[p]
 * run long holds evictable-two-readers     -DEVICTABLE -DPIN -DSECTIONS=1
 * run long holds three-periods             -DPERIODS=3
 * run long holds three-readers             -DREADERS=3 -DSECTIONS=1 -DPERIODS=2
 * run long holds two-synchronizers-full    -DWRITERS=2 -DPERIODS=1 -DWRITER_DIES
 * run long holds two-synchronizers-twice   -DREADERS=1 -DWRITERS=2 -DPERIODS=2
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef PERIODS
#define PERIODS 2
#endif
#ifndef UNREGISTERED
#define UNREGISTERED 0  /* bit set of readers that never registered for the barrier */
#endif
#ifndef FENCING
#define FENCING 0       /* bit set of readers that fence for themselves */
#endif

#define BLOCKS (1 + WRITERS * PERIODS)
#define MARK 0
#define HIGH 1
#define PARK 2
#define NONE 0
#define PARKED 1
#define OUSTED 2
#define word_of(g, state) ((g) * 4 + (state))
#define bit(set, i) (((set) >> (i)) & 1)

byte epoch = 1;
byte completed;
byte pointer;                   /* the block that readers find */
bool freed[BLOCKS];
byte mark[READERS];             /* as memory has it: 0, or the epoch of the section */
byte park[READERS];             /* as memory has it: {epoch, state} */
byte parking[READERS];          /* stores to it in the buffer: the thread itself sees the last one */
byte last_park[READERS];
bool registered[READERS];
byte high;                      /* marks below it are looked at */
byte early[READERS];            /* 1 + a pointer that was loaded before its turn, or 0 */
chan buffer[READERS] = [4] of { byte, byte };

inline land(i, where, value)
{
	if
	:: where == MARK -> mark[i] = value
	:: where == PARK -> park[i] = value; parking[i]--
	:: where == HIGH -> high = i + 1
	fi
}

/* All that thread `i` stored is seen by everybody; nothing of it was loaded too early. */
inline barrier_of(i, where, value)
{
	atomic {
		do
		:: nempty(buffer[i]) -> buffer[i]?where,value; land(i, where, value)
		:: empty(buffer[i]) -> break
		od;
		early[i] = 0; where = 0; value = 0
	}
}

proctype memory(byte i)
{
	byte where, value;
end:
	do
	:: atomic {
		buffer[i]?where,value -> land(i, where, value); where = 0; value = 0
	}
	od
}

inline attach(i)
{
#ifndef REGISTER_LATE
	registered[i] = 1;
#endif
	buffer[i]!HIGH,0
}

#define store_park(i, word) atomic { buffer[i]!PARK,word; parking[i]++; last_park[i] = word }
#define own_park(i) (parking[i] -> last_park[i] : park[i])

/* The pinned section inside an evictable one. */
inline pinned_within(i)
{
#ifdef PIN_STORE
	w = own_park(i);
	if
	:: w == word_of(g, PARKED) -> store_park(i, word_of(g, NONE)); w = word_of(g, NONE)
	:: else
	fi;
#else
	barrier_of(i, where, value);
	atomic {
		park[i] = (park[i] == word_of(g, PARKED) -> word_of(g, NONE) : park[i]);
		w = park[i]
	};
#endif
	if
	:: w != word_of(g, OUSTED) ->
		assert(!freed[p]);              /* reach */
#ifdef PIN_STORE
		store_park(i, word_of(g, PARKED))
#else
		barrier_of(i, where, value);
		atomic { park[i] = (park[i] == word_of(g, NONE) -> word_of(g, PARKED) : park[i]) }
#endif
	:: else                                 /* reach */
	fi
}

inline evictable_section(i)
{
	g = epoch;
	store_park(i, word_of(g, PARKED));
	buffer[i]!MARK,g;
	if
	:: bit(FENCING, i) -> barrier_of(i, where, value)
	:: else
	fi;
	p = pointer;
#ifdef PIN
	pinned_within(i);
#endif
	freed_unseen = freed[p];
	w = own_park(i);
	if
	:: w != word_of(g, OUSTED) -> assert(!freed_unseen)
	:: else                                 /* reach */
	fi;
	buffer[i]!MARK,0;
	atomic { g = 0; p = 0; w = 0; freed_unseen = 0 }
}

inline section(i)
{
#ifdef NO_ACQUIRE
	if
	:: early[i] = pointer + 1
	:: skip
	fi;
#endif
	g = epoch;
	buffer[i]!MARK,g;
	if
	:: bit(FENCING, i) -> barrier_of(i, where, value)
	:: else
	fi;
	atomic { p = (early[i] -> early[i] - 1 : pointer); early[i] = 0 };
#ifdef NO_RELEASE
	buffer[i]!MARK,0;
	assert(!freed[p]);
#else
	assert(!freed[p]);
	buffer[i]!MARK,0;
#endif
	atomic { g = 0; p = 0 }
}

proctype reader(byte i; bool late)
{
	byte g, p, w, where, value;
	bool freed_unseen;
	byte left = SECTIONS;

	if
	:: late -> attach(i)
	:: else
	fi;
	do
#ifdef EVICTABLE
	:: left > 0 -> left--; evictable_section(i)
#else
	:: left > 0 -> left--; section(i)
#endif
	:: else -> break
	od;
	registered[i] = registered[i] || late
}

inline full_barrier()
{
#ifdef FENCED_REGION
	skip    /* the writer's own stores were not delayed: its fence has nothing to do here */
#else
	i = 0;
	do
	:: i < READERS && registered[i] -> barrier_of(i, where, value); i++
	:: i < READERS && !registered[i] -> i++
	:: else -> break
	od
#endif
}

inline next_epoch()
{
#ifdef PARITY
	atomic { epoch = 3 - epoch; n = epoch }
#else
	atomic { epoch++; n = epoch }
#endif
}

#ifdef PARITY
#define passed(i) (mark[i] == 0 || mark[i] == n)
#define covered 0
#else
#define passed(i) (mark[i] == 0 || mark[i] >= n)
#ifdef TICKET_SHORT
#define covered (completed + 1 >= n)
#else
#define covered (completed >= n)
#endif
#endif

/* is_ousted(), in its two looks; or oust(): as if memory were always needed. */
inline evict(i)
{
#ifdef EVICT_PASS
	i++
#else
	m = mark[i];
	pw = park[i];
	if
	:: m != 0 && pw == word_of(m, OUSTED) && mark[i] == m -> i++
	:: m != 0 && m < n && pw == word_of(m, PARKED) ->
		atomic { park[i] = (park[i] == pw -> word_of(m, OUSTED) : park[i]) }
	:: else -> mark[i] != m || park[i] != pw || passed(i)
	fi;
	atomic { m = 0; pw = 0 }
#endif
}

proctype writer(byte w)
{
	byte n, i, seen, old, where, value, m, pw;
	byte k;

	do
	:: k < PERIODS ->
		atomic { old = pointer; pointer = 1 + w * PERIODS + k; k++ };
#ifdef HIGH_EARLY
		seen = high;
#endif
#ifdef BARRIER_FIRST
		full_barrier();
		next_epoch();
#else
		next_epoch();
#ifdef WRITER_DIES
		if
		:: w == 0 -> goto died          /* reach */
		:: skip
		fi;
#endif
		full_barrier();
#endif
#ifndef HIGH_EARLY
		seen = high;
#endif
		i = 0;
		do
		:: i < seen && passed(i) -> i++
#ifdef EVICTABLE
		:: i < seen && !passed(i) -> evict(i)
#endif
		:: covered -> break             /* reach */
		:: i >= seen -> break
		od;
		freed[old] = 1;
#ifndef PARITY
		completed = (completed > n -> completed : n);
#endif
		atomic { old = 0; n = 0; i = 0; seen = 0 }
	:: else -> break
	od;
died:
	skip
}

init
{
	byte i;

	atomic {
#ifdef LATE
		high = READERS - 1;
#else
		high = READERS;
#endif
		do
		:: i < READERS ->
			run memory(i);
#ifdef LATE
			if
			:: i < READERS - 1 ->
				registered[i] = !bit(UNREGISTERED, i);
				run reader(i, false)
			:: else -> run reader(i, true)
			fi;
#else
			registered[i] = !bit(UNREGISTERED, i);
			run reader(i, false);
#endif
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WRITERS -> run writer(i); i++
		:: else -> break
		od
	}
}
