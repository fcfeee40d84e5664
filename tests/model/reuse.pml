/* SPDX-License-Identifier: MIT */
/* The reuse rule: comap__retire, the reclaimer behind it, the heap's free lists, and the guest.
 *
 * What is modelled. Replacers take a block from the free list, fill it, exchange the pointer and
 * retire the old one with the stamp R. Reclaimers complete grace periods and hand back what was
 * retired: horizon first, then the free list. A pinned reader and a guest read meanwhile. A block's
 * content is its incarnation, which the first new byte changes. Claims: what a pinned reader looks
 * at is what it found (assertion: pinned_copy); what a guest accepts is too (guest_copy); a block is
 * in use, retired or free, never two of them (one_place).
 *
 * Line by line. replacer(): take = pop with acquire; change = release fence and first byte;
 * exchange of pointer = unlink; stamp = fetch_add(epoch, 0). reclaimer(): comap_synchronize as
 * grace.pml proves it, `completed >= R + 1`, horizon = atomic_max, push with release. pinned():
 * comap_read_begin. guest(): epoch with acquire, copy, acquire fence, `horizon <= g`. evictable():
 * comap_read_begin_evictable, a copy, with PIN a pinned section inside, and the look at the park word
 * that comap_read_end_evictable takes; reclaimers evict it at any time, oust() and is_ousted(), as a
 * writer at the budget does. What it accepts is what it found (evicted_copy), and so is what it looks
 * at while it is pinned (pinned_within).
 *
 * Memory. Steps interleave; an order that a missing acquire or release would allow is its own
 * configuration, with the two steps in the other order. A store by one process may reach the guest
 * later than it reaches another process (POWER): the guest has its own view of the horizon, `seen`,
 * which a release fence before the first new byte brings up to what the replacer knows; the evictable
 * reader likewise of the park word, `told`.
 *
 * run fast holds one-of-each
 * run fast holds reads-twice-pinned          -DREADS=2 -DNO_GUEST
 * run fast holds reads-twice-guest           -DREADS=2 -DNO_PINNED
 * run fast holds links-in-free-blocks        -DLINK_IN_BLOCK
 * run fast holds two-replacers               -DREPLACERS=2 -DBLOCKS=3 -DREPLACEMENTS=1 -DPERIODS=2 -DNO_PINNED
 * run fast holds two-reclaimers              -DRECLAIMERS=2 -DPERIODS=1 -DNO_PINNED
 * run fast fails stamp-before-unlink-guest   -DSTAMP_EARLY -DNO_PINNED     : guest_copy
 * run fast fails stamp-before-unlink-pinned  -DSTAMP_EARLY -DNO_GUEST      : pinned_copy
 * run fast fails reuse-one-period-early      -DREUSE_EARLY -DNO_GUEST      : pinned_copy
 * run fast fails horizon-after-first-byte    -DHORIZON_LATE -DNO_PINNED    : guest_copy
 * run fast fails link-before-horizon         -DHORIZON_LATE -DLINK_IN_BLOCK -DNO_PINNED : guest_copy
 * run fast fails no-release-fence            -DNO_FENCE -DNO_PINNED        : guest_copy
 * run fast fails guest-accepts-one-more      -DACCEPT_MORE -DNO_PINNED     : guest_copy
 * run fast fails guest-epoch-not-first       -DEPOCH_LATE -DNO_PINNED      : guest_copy
 * run fast fails guest-horizon-before-copy   -DVALIDATE_EARLY -DNO_PINNED  : guest_copy
 * run fast fails horizon-stored-not-maximum  -DHORIZON_STORE -DRECLAIMERS=2 -DBLOCKS=3 -DREPLACEMENTS=3 -DPERIODS=1 -DNO_PINNED : guest_copy
 * run fast holds evictable                   -DEVICTABLE -DNO_GUEST -DNO_PINNED
 * run fast holds evictable-twice             -DEVICTABLE -DNO_GUEST -DNO_PINNED -DREADS=2 -DREPLACEMENTS=2 -DPERIODS=2
 * run fast holds evictable-pins-within       -DEVICTABLE -DPIN -DNO_GUEST -DNO_PINNED
 * run fast holds evictable-beside-guest      -DEVICTABLE -DNO_PINNED -DREPLACEMENTS=2 -DPERIODS=2
 * run fast fails evicts-without-word         -DEVICTABLE -DEVICT_PASS -DNO_GUEST -DNO_PINNED : evicted_copy
 * run fast fails evicts-by-store             -DEVICTABLE -DPIN -DEVICT_STORE -DNO_GUEST -DNO_PINNED : pinned_within
 * run fast fails evicted-looks-before-copy   -DEVICTABLE -DLOOK_EARLY -DNO_GUEST -DNO_PINNED : evicted_copy
 * run fast fails evict-no-release-fence      -DEVICTABLE -DNO_FENCE -DNO_GUEST -DNO_PINNED : evicted_copy
 * run fast fails pins-without-asking         -DEVICTABLE -DPIN -DPIN_BLIND -DNO_GUEST -DNO_PINNED : pinned_within
 * run long holds evictable-two-reclaimers   -DEVICTABLE -DPIN -DRECLAIMERS=2 -DPERIODS=1 -DNO_GUEST -DNO_PINNED
 * run long holds evictable-beside-all       -DEVICTABLE -DREPLACEMENTS=2 -DPERIODS=2
 * run long holds reads-twice                -DREADS=2
 * run long holds three-replacements         -DBLOCKS=3 -DREPLACEMENTS=3 -DPERIODS=3
 * run long holds two-replacers-all          -DREPLACERS=2 -DBLOCKS=3 -DREPLACEMENTS=1 -DPERIODS=2
 * run long holds two-reclaimers-all         -DRECLAIMERS=2 -DPERIODS=1
 */
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef REPLACERS
#define REPLACERS 1
#endif
#ifndef REPLACEMENTS
#define REPLACEMENTS 3
#endif
#ifndef RECLAIMERS
#define RECLAIMERS 1
#endif
#ifndef PERIODS
#define PERIODS 3
#endif
#ifndef READS
#define READS 1
#endif

#define LINKED 0
#define FREE 1
#define PRIVATE 2
#define RETIRED 3
#define RECLAIMED 4

byte epoch = 1;
byte completed;
byte horizon;
byte seen;                      /* the horizon, as far as it has reached the guest */
byte mark;
byte evictable_mark;
byte park;                      /* {epoch, state} of the evictable section */
byte told;                      /* the park word, as far as it has reached the section's owner */
byte pushed_park[BLOCKS];       /* the park word that came along with the push */
byte pointer;
byte state[BLOCKS];
byte stamp[BLOCKS];
byte pushed[BLOCKS];            /* the horizon that came along with the push */
byte content[BLOCKS];

#define NONE 0
#define PARKED 1
#define OUSTED 2
#define word_of(g, state) ((g) * 4 + (state))

#define larger(a, b) ((a) > (b) -> (a) : (b))

/* The first new byte, by a process that has seen the horizon `known`. */
inline change(b, known, known_park)
{
	atomic {
#ifndef NO_FENCE
		seen = larger(seen, known);
		told = (known_park == park -> park : told);
#endif
		content[b]++
	}
}

inline take(b)
{
	atomic {
		b = 0;
		do
		:: b < BLOCKS && state[b] == FREE -> break
		:: b < BLOCKS -> b++
		:: else -> break
		od;
		if
		:: b < BLOCKS -> state[b] = PRIVATE
		:: else
		fi
	}
}

proctype replacer()
{
	byte b, old, r, k;

	do
	:: k < REPLACEMENTS ->
		take(b);
		if
		:: b == BLOCKS -> break
		:: else
		fi;
		change(b, pushed[b], pushed_park[b]);
#ifdef STAMP_EARLY
		r = epoch;
#endif
		atomic { old = pointer; pointer = b; state[b] = LINKED };
#ifndef STAMP_EARLY
		r = epoch;
#endif
		atomic {
			assert(state[old] == LINKED /* one_place */);
			stamp[old] = r; state[old] = RETIRED;
			k++; b = 0; old = 0; r = 0
		}
	:: else -> break
	od
}

#ifdef REUSE_EARLY
#define reusable(b) (state[b] == RETIRED && completed >= stamp[b])
#else
#define reusable(b) (state[b] == RETIRED && completed >= stamp[b] + 1)
#endif

inline raise_horizon(h)
{
#ifdef HORIZON_STORE
	horizon = h
#else
	horizon = larger(horizon, h)
#endif
}

inline push(b)
{
	atomic { pushed[b] = horizon; pushed_park[b] = park; state[b] = FREE }
}

inline hand_back(b, r)
{
#ifdef LINK_IN_BLOCK
#define LINK(b) change(b, horizon, park);
#else
#define LINK(b)
#endif
#ifdef HORIZON_LATE
	LINK(b)
	push(b);
	raise_horizon(r + 1)
#else
	raise_horizon(r + 1);
	LINK(b)
	push(b)
#endif
}

/* Waits for the evictable section, or ends it: at any moment, as if memory were always needed. */
inline pass_evictable(n)
{
	do
	:: true ->
		g = evictable_mark;
		if
		:: g == 0 || g >= n -> break
		:: else
		fi;
#ifdef EVICT_PASS
		break
#else
		w = park;
		if
		:: w == word_of(g, OUSTED) && evictable_mark == g -> break      /* reach */
		:: w == word_of(g, PARKED) ->
#ifdef EVICT_STORE
			park = word_of(g, OUSTED)
#else
			atomic { park = (park == w -> word_of(g, OUSTED) : park) }      /* reach */
#endif
		:: else -> evictable_mark != g || park != w
		fi
#endif
	od;
	atomic { g = 0; w = 0 }
}

proctype reclaimer()
{
	byte n, b, r, k, g, w;

	do
	:: k < PERIODS ->
		atomic { epoch++; n = epoch; k++ };
		(mark == 0 || mark >= n);
#ifdef EVICTABLE
		pass_evictable(n);
#endif
		completed = larger(completed, n);
		b = 0;
		do
		:: atomic { b < BLOCKS && reusable(b) -> r = stamp[b]; state[b] = RECLAIMED };
			hand_back(b, r);
			b++                     /* reach */
		:: atomic { b < BLOCKS && !reusable(b) -> b++ }
		:: b == BLOCKS -> break
		od;
		atomic { n = 0; b = 0; r = 0 }
	:: else -> break
	od
}

proctype pinned()
{
	byte g, p, found, k;
	byte pinned_copy;

	do
	:: k < READS ->
		g = epoch;
		mark = g;
		atomic { p = pointer; found = content[p] };
		pinned_copy = content[p];
		assert(pinned_copy == found);
		mark = 0;
		atomic { k++; g = 0; p = 0; found = 0; pinned_copy = 0 }
	:: else -> break
	od
}

proctype arrival()
{
end:
	do
	:: atomic { seen < horizon -> seen = horizon }
	:: atomic { told != park -> told = park }
	od
}

#define stale (v == word_of(g, OUSTED))

/* A pinned section inside: from the CAS to the CAS back nobody evicts. */
inline pinned_inside()
{
#ifdef PIN_BLIND
	skip;
	v = word_of(g, NONE);
#else
	atomic {
		park = (park == word_of(g, PARKED) -> word_of(g, NONE) : park);
		told = park; v = park
	};
#endif
	if
	:: !stale ->
		atomic { q = pointer; newer = content[q] };
		pinned_within = content[q];
		assert(pinned_within == newer);
		pinned_within = content[p];
		assert(pinned_within == found);         /* reach */
		atomic {
			park = (park == word_of(g, NONE) -> word_of(g, PARKED) : park);
			told = park
		}
	:: else -> skip                         /* reach */
	fi
}

proctype evictable()
{
	byte g, p, q, found, newer, k, v;
	byte evicted_copy, pinned_within;

	do
	:: k < READS ->
		g = epoch;
		atomic { park = word_of(g, PARKED); told = park };
		evictable_mark = g;
		atomic { p = pointer; found = content[p] };
#ifdef PIN
		pinned_inside();
#endif
#ifdef LOOK_EARLY
		v = told;
#endif
		evicted_copy = content[p];
#ifndef LOOK_EARLY
		v = told;
#endif
		if
		:: !stale -> assert(evicted_copy == found)
		:: else -> skip                 /* reach */
		fi;
		evictable_mark = 0;
		atomic {
			k++; g = 0; p = 0; q = 0; found = 0; newer = 0; v = 0;
			evicted_copy = 0; pinned_within = 0
		}
	:: else -> break
	od
}

#ifdef ACCEPT_MORE
#define accepted (h <= g + 1)
#else
#define accepted (h <= g)
#endif

proctype guest()
{
	byte g, h, p, found, k;
	byte guest_copy;

	do
	:: k < READS ->
#ifndef EPOCH_LATE
		g = epoch;
#endif
		atomic { p = pointer; found = content[p] };
#ifdef VALIDATE_EARLY
		h = seen;
#endif
		guest_copy = content[p];
#ifdef EPOCH_LATE
		g = epoch;
#endif
#ifndef VALIDATE_EARLY
		h = seen;
#endif
		if
		:: accepted -> assert(guest_copy == found)
		:: else -> skip                 /* reach */
		fi;
		atomic { k++; g = 0; h = 0; p = 0; found = 0; guest_copy = 0 }
	:: else -> break
	od
}

init
{
	byte i;

	atomic {
		state[0] = LINKED;
		i = 1;
		do
		:: i < BLOCKS -> state[i] = FREE; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < REPLACERS -> run replacer(); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < RECLAIMERS -> run reclaimer(); i++
		:: else -> break
		od;
#ifndef NO_PINNED
		run pinned();
#endif
#ifdef EVICTABLE
		run evictable();
#endif
#if defined(EVICTABLE) || !defined(NO_GUEST)
		run arrival();
#endif
#ifndef NO_GUEST
		run guest()
#endif
	}
}
