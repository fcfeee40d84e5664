/* SPDX-License-Identifier: MIT */
/* Publishing with an intent, and the repair of who died over it: comap__intent_begin,
 * comap__intent_settle, comap__intent_end, comap__intent_repair, comap__heap_sweep.
 *
 * What is modelled. Two publishers replace the block behind one link at the same time; one of them
 * is killed before any of its steps, or not at all. A repairer, itself stopped and begun anew at any
 * step, settles what the dead one left. A reclaimer frees retired blocks; a reader looks at what it
 * found. Claims: no block becomes free while it is linked or looked at (free_in_use), or twice
 * (free_twice); only a linked block is
 * published by another, only an unlinked one retired (wrongly_); at the end every block is linked and
 * PUBLISHED, or FREE (leaked).
 *
 * Line by line. publish(): allocate FREE -> PRIVATE(me), intent {old, new}, make the old one
 * PUBLISHED, CAS of the link = the commit point, new one PUBLISHED, old one RETIRED, intent closed.
 * Retired blocks lie on the ring of who retired them, which nobody drains before its intent is
 * closed. repair(): link first, then the state word. DESIGN's replacers work at the same time; a
 * value's publishers take turns, which is the configuration one-after-the-other.
 *
 * Memory. Steps interleave (sequentially consistent): every word here moves by CAS. What a block may
 * be freed after is stated, not derived: the grace period is grace.pml's and reuse.pml's.
 *
 * run fast holds two-publishers
 * run fast holds one-after-the-other       -DTURNS -DTIMES=2
 * run fast fails unlinker-does-not-publish -DNO_HELP              : free_
 * run fast fails helper-outside-a-section  -DNO_SECTION -DTIMES=2 : wrongly_
 * run fast fails repair-by-link-alone      -DLINK_ALONE           : leaked
 * run fast fails repair-state-before-link  -DSTATE_FIRST          : leaked
 * run fast fails sweep-before-intent       -DSWEEP_FIRST          : wrongly_retired
 * run fast fails drained-under-intent      -DDRAIN_EARLY -DTIMES=2 : wrongly_
 * run fast fails no-intent                 -DNO_INTENT            : free_in_use
 * run long holds two-publishers-twice      -DTIMES=2
 */
#ifndef TIMES
#define TIMES 1         /* how often the second publisher publishes */
#endif
#ifndef BLOCKS
#define BLOCKS 3
#endif

#define FREE 0
#define PRIVATE 1               /* + who */
#define PUBLISHED 3
#define RETIRED 4               /* + who */
#define NONE 255

byte link;
byte state[BLOCKS];
byte intent_old[2];
byte intent_new[2] = NONE;      /* NONE: closed */
byte held[3] = NONE;            /* what a section looks at: two publishers, one reader */
bool killed, dead, repaired, first_done, second_done;
bool free_in_use, free_twice, wrongly_published, wrongly_retired, leaked;

#define is_held(b) (held[0] == b || held[1] == b || held[2] == b)

inline cas(place, from, to)
{
	atomic {
		if
		:: place == (from) -> place = to
		:: else
		fi
	}
}

inline set_free(b)
{
	free_in_use = (link == b || is_held(b));
	assert(!free_in_use);
	free_twice = (state[b] == FREE);
	assert(!free_twice);
	state[b] = FREE
}

inline allocate(me, b)
{
	atomic {
		if
		:: state[0] == FREE -> b = 0
		:: state[1] == FREE -> b = 1
		:: state[2] == FREE -> b = 2
		fi;
		state[b] = PRIVATE + me
	}
}

/* Whoever is about to unlink `b` first makes sure that it says PUBLISHED. */
inline help(me, b)
{
#ifdef NO_HELP
	skip
#else
	seen = state[b];
	if
	:: seen == PRIVATE || seen == PRIVATE + 1 ->
		atomic {
			if
			:: state[b] == seen ->          /* reach */
				wrongly_published = (link != b);
				assert(!wrongly_published);
				state[b] = PUBLISHED
			:: else
			fi
		}
	:: else
	fi
#endif
}

inline retire(me, b)
{
#ifdef NO_HELP
	atomic {
		free_twice = (state[b] == FREE);
		assert(!free_twice);
		state[b] = RETIRED + me
	}
#else
	atomic {
		if
		:: state[b] == PUBLISHED ->
			wrongly_retired = (link == b);
			assert(!wrongly_retired);
			state[b] = RETIRED + me
		:: else
		fi
	}
#endif
}

inline publish(me)
{
	allocate(me, new);
	do
	:: true ->
#ifdef NO_SECTION
		old = link;
#else
		atomic { old = link; held[me] = old };
#endif
#ifndef NO_INTENT
		intent_old[me] = old;
		intent_new[me] = new;
#endif
		help(me, old);
		atomic {
			if
			:: link == old -> link = new; break
			:: else                         /* reach */
			fi
		}
	od;
	cas(state[new], PRIVATE + me, PUBLISHED);
	retire(me, old);
	intent_new[me] = NONE;
	atomic { held[me] = NONE; old = 0; new = 0; seen = 0 }
}

proctype first()
{
	byte old, new, seen;

	{
		publish(0);
		first_done = 1
	} unless {
		killed
	};
	if
	:: killed -> atomic { held[0] = NONE; old = 0; new = 0; seen = 0; dead = 1 }
	:: else
	fi
}

proctype killer()
{
	if
	:: atomic { !first_done -> killed = 1 }
	:: skip
	fi
}

proctype second()
{
	byte old, new, seen;
	byte left = TIMES;

#ifdef TURNS
	(first_done || repaired);
#endif
	do
	:: left > 0 -> left--; publish(1)
	:: else -> break
	od;
	second_done = 1
}

/* The heap's part: what the dead one holds and never linked. */
inline sweep()
{
	b = 0;
	do
	:: b < BLOCKS ->
		atomic {
			if
			:: state[b] == PRIVATE -> set_free(b)   /* reach */
			:: else
			fi;
			b++
		}
	:: else -> break
	od;
	b = 0
}

inline settle()
{
	old = intent_old[0];
	new = intent_new[0];
	if
	:: new != NONE ->
#ifdef LINK_ALONE
		linked = (link == new);
#else
#ifdef STATE_FIRST
		linked = (state[new] != PRIVATE);
		linked = linked || (link == new);
#else
		linked = (link == new);
		linked = linked || (state[new] != PRIVATE);
#endif
#endif
		if
		:: linked ->                    /* reach */
			cas(state[new], PRIVATE, PUBLISHED);
			retire(0, old)
		:: else
		fi;
		intent_new[0] = NONE
	:: else
	fi
}

proctype repairer()
{
	byte old, new, b;
	bool linked;

end:
	dead;
again:
	if
	:: settle()
#ifdef SWEEP_FIRST
	:: sweep()
#endif
	:: goto again
	fi;
	sweep();
	if
	:: goto again                           /* it died here, and the next one begins anew */
	:: skip
	fi;
	atomic { repaired = 1; old = 0; new = 0; linked = 0 }
}

#ifdef DRAIN_EARLY
#define drained(b) ((state[b] == RETIRED || state[b] == RETIRED + 1) && !is_held(b))
#else
#define drained(b) (((state[b] == RETIRED && intent_new[0] == NONE) || \
	(state[b] == RETIRED + 1 && intent_new[1] == NONE)) && !is_held(b))
#endif

proctype reclaimer()
{
end:
	do
	:: atomic { drained(0) -> set_free(0) }
	:: atomic { drained(1) -> set_free(1) }
	:: atomic { drained(2) -> set_free(2) }
	od
}

proctype reader()
{
	atomic { held[2] = link };
	held[2] = NONE
}

#define at_rest(b) (state[b] != RETIRED && state[b] != RETIRED + 1)

init
{
	byte b;

	atomic {
		state[0] = PUBLISHED;
		run first(); run killer(); run second(); run repairer(); run reclaimer(); run reader()
	};
	second_done && (first_done || repaired) && at_rest(0) && at_rest(1) && at_rest(2);
	atomic {
		do
		:: b < BLOCKS ->
			leaked = !(state[b] == (link == b -> PUBLISHED : FREE));
			assert(!leaked);
			b++
		:: else -> break
		od
	}
}
