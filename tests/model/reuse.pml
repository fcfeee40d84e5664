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
 * comap_read_begin. guest(): epoch with acquire, copy, acquire fence, `horizon <= g`; an evictable
 * section whose mark a writer passes over does the same.
 *
 * Memory. Steps interleave; an order that a missing acquire or release would allow is its own
 * configuration, with the two steps in the other order. A store by one process may reach the guest
 * later than it reaches another process (POWER): the guest has its own view of the horizon, `seen`,
 * which a release fence before the first new byte brings up to what the replacer knows.
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
byte pointer;
byte state[BLOCKS];
byte stamp[BLOCKS];
byte pushed[BLOCKS];            /* the horizon that came along with the push */
byte content[BLOCKS];

#define larger(a, b) ((a) > (b) -> (a) : (b))

/* The first new byte, by a process that has seen the horizon `known`. */
inline change(b, known)
{
	atomic {
#ifndef NO_FENCE
		seen = larger(seen, known);
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
		change(b, pushed[b]);
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
	atomic { pushed[b] = horizon; state[b] = FREE }
}

inline hand_back(b, r)
{
#ifdef LINK_IN_BLOCK
#define LINK(b) change(b, horizon);
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

proctype reclaimer()
{
	byte n, b, r, k;

	do
	:: k < PERIODS ->
		atomic { epoch++; n = epoch; k++ };
		(mark == 0 || mark >= n);
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
#ifndef NO_GUEST
		run arrival();
		run guest()
#endif
	}
}
