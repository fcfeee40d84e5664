/* SPDX-License-Identifier: MIT */
/* A table's split: comap__table_find() beside split(), whose writer may die at each step, and the repair
 * by the next one, after which it writes anew.
 *
 * What is modelled. One chain: a first bucket of two slots and the link, an overflow bucket of one slot;
 * one new bucket. Key 1 moves to the new bucket, key 2 stays and is moved forward when the overflow
 * bucket goes. Both are there all the time, under versions that grow. Claims: a look-up finds its key
 * (assertion: lost), in a version not older than the one committed when it began (assertion: stale), and
 * looks at most three times (assertion: tries); at the end no key stands twice (assertion: twice).
 *
 * Line by line. find(): shape, moves, slots, link, overflow slot, then shape and moves again = aim(),
 * search(), search_chain(), was_moved(). step_*: copy_movers(), publish_shape(), clear_movers(),
 * compact_once(); repair() = comap__split_repair().
 *
 * Memory. Stores of the one writer are releases and land in order, loads of a look-up are acquires: one
 * order for all. What a taker sees of a dead one is everything.
 *
 * Not modelled: tags (hints; where one is void its slot is), allocation, intents, longer chains.
 *
 * run fast holds split
 * run fast holds split-dies          -DDIES
 * run fast fails no-second-look      -DNO_LOOK            : lost
 * run fast fails move-not-counted    -DNO_COUNT           : lost
 * run fast fails counted-after       -DCOUNT_LATE         : lost
 * run fast fails shape-after-clear   -DSHAPE_LATE         : lost
 * run fast fails no-repair           -DDIES -DNO_REPAIR   : twice
 */
#define EMPTY 0
#define KEY(word) ((word) >> 4)
#define VERSION(word) ((word) & 15)
#define WORD(key, version) ((key) << 4 | (version))

byte first[2], over, fresh[2];
bool linked = true, shape = false, journal = false;
byte moves = 0;
byte committed[3];   /* newest version of key 1 and 2 */

#ifdef DIES
bool may_die = true;
#define STEP if :: may_die -> may_die = false; goto dead :: true fi
#else
#define STEP skip
#endif

inline count_move() { moves++ }

/* Clear, then compact: can be begun again at any point of itself. */
inline finish() {
	if
	:: KEY(first[0]) == 1 -> first[0] = EMPTY
	:: else
	fi;
	STEP;
	if
	:: linked ->
		if
		:: first[0] == EMPTY && first[1] != over && over != EMPTY -> first[0] = over
		:: else
		fi;
		STEP;
#ifndef COUNT_LATE
#ifndef NO_COUNT
		count_move();
#endif
		STEP;
#endif
		linked = false; /* reach */
		STEP;
#ifdef COUNT_LATE
		count_move();
#endif
	:: else
	fi;
	journal = false
}

inline split() {
	fresh[0] = EMPTY;
	journal = true;
	STEP;
	fresh[0] = first[0];
	STEP;
#ifdef SHAPE_LATE
	first[0] = EMPTY;
#endif
	shape = true;
	STEP;
	finish()
}

inline put(key) {
	if
	:: key == 1 && shape -> fresh[0] = WORD(1, committed[1] + 1)
	:: key == 1 && !shape -> first[0] = WORD(1, committed[1] + 1)
	:: key == 2 && KEY(first[0]) == 2 -> first[0] = WORD(2, committed[2] + 1)
	:: key == 2 && KEY(first[0]) != 2 -> over = WORD(2, committed[2] + 1)
	fi;
	committed[key]++
}

proctype writer() {
	bool twice;

	put(1); put(2);
	split();
	put(1); put(2);
	goto end;
dead:	/* the lock passes on; the one who takes it does not die */
#ifdef DIES
	may_die = false;
#endif
#ifndef NO_REPAIR
	if
	:: journal && shape -> finish()
	:: journal && !shape -> fresh[0] = EMPTY; journal = false
	:: else
	fi;
#endif
	put(1); put(2);
	if
	:: !shape -> split()
	:: else
	fi;
	put(1); put(2);
end:	twice = shape && KEY(first[0]) == 1 || linked && KEY(first[0]) == 2 && KEY(over) == 2;
	assert(!twice)
}

proctype find(byte key) {
	byte since, count, word, tries = 0;
	bool at, lost = false, stale;

	since = committed[key];
again:
	tries++;
	assert(tries <= 3); /* tries */
	at = shape && key == 1;
	count = moves;
	if
	:: at -> word = fresh[0]
	:: else -> word = first[0]
	fi;
	if :: KEY(word) == key -> goto found :: else fi;
	if
	:: at -> goto missed
	:: else -> word = first[1]
	fi;
	if :: KEY(word) == key -> goto found :: else fi;
	if
	:: linked -> skip
	:: else -> goto missed
	fi;
	word = over;
	if :: KEY(word) == key -> goto found :: else fi;
missed:
#ifndef NO_LOOK
	if
	:: (shape && key == 1) != at -> goto again /* reach */
	:: else
	fi;
	if
	:: !at && count != moves -> goto again /* reach */
	:: else
	fi;
#endif
	lost = true;
	assert(!lost);
found:
	stale = VERSION(word) < since;
	assert(!stale)
}

init {
	atomic {
		first[0] = WORD(1, 1); first[1] = WORD(3, 1); over = WORD(2, 1);
		committed[1] = 1; committed[2] = 1;
		run writer(); run find(1); run find(2)
	}
}
