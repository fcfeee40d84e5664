/* SPDX-License-Identifier: MIT */
/* Park, resume, oust: long-lived readers that let memory go, or keep it, by one CAS.
 *
 * What is modelled. A reader begins a section, parks it, and resumes: CAS PARKED -> ACTIVE, or it was
 * ousted and begins anew. A writer that needs the memory passes a parked reader only by CAS PARKED ->
 * OUSTED; it waits for an active one. Claims: a section that is active, resumed or not, looks at
 * nothing that was given back (freed); nobody waits for ever (invalid end state).
 *
 * Line by line. reader() is comap_read_begin, then park and resume, comap_read_end; writer() is
 * comap_synchronize under a pin budget. The word is {epoch, PARKED or OUSTED}: an epoch in it, so that
 * a late CAS from an earlier park ousts a section at worst that could go on, never the reverse.
 *
 * Memory. Steps interleave (sequentially consistent): the state moves by CAS, except by the owner,
 * who begins, parks and ends by stores while no writer may change it: ACTIVE is the owner's own.
 *
 * run fast holds one-writer
 * run fast holds two-writers               -DWRITERS=2 -DPERIODS=1
 * run fast fails writer-skips-without-cas  -DSKIP_PARKED              : freed
 * run fast fails resumes-by-store          -DRESUME_STORE             : freed
 * run fast fails resumes-without-looking   -DRESUME_BLIND             : freed
 * run fast fails ousts-by-store            -DOUST_STORE               : freed
 * run fast fails resumes-at-a-new-epoch    -DRESUME_NEW_EPOCH         : freed
 * run fast fails reads-while-parked        -DREAD_PARKED              : freed
 * run long holds two-writers-twice         -DWRITERS=2 -DPERIODS=2
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef PERIODS
#define PERIODS 2
#endif
#define SECTIONS 2
#define PARKS 2
#define BLOCKS (1 + WRITERS * PERIODS)

#define ACTIVE 0
#define PARKED 1
#define OUSTED 2
#define mark_of(epoch, class) ((epoch) * 4 + (class))
#define epoch_of(mark) ((mark) / 4)
#define class_of(mark) ((mark) % 4)

byte epoch = 1;
byte pointer;
bool freed[BLOCKS];
byte mark;

inline resume()
{
#ifdef RESUME_STORE
	stale = (class_of(mark) == OUSTED);
	mark = (stale -> mark : mark_of(g, ACTIVE));
#else
#ifdef RESUME_BLIND
	mark = mark_of(g, ACTIVE);
#else
#ifdef RESUME_NEW_EPOCH
	atomic {
		stale = (mark != mark_of(g, PARKED));
		mark = (stale -> mark : mark_of(epoch, ACTIVE))
	};
#else
	atomic {
		stale = (mark != mark_of(g, PARKED));
		mark = (stale -> mark : mark_of(g, ACTIVE))
	};
#endif
#endif
#endif
	skip
}

proctype reader()
{
	byte g, p, k, parks;
	bool stale;

	do
	:: k < SECTIONS ->
		g = epoch;
		mark = mark_of(g, ACTIVE);
		p = pointer;
		assert(!freed[p]);
		parks = 0;
		do
		:: parks < PARKS ->
			mark = mark_of(g, PARKED);
#ifdef READ_PARKED
			assert(!freed[p]);
#endif
			resume();
			if
			:: stale -> break               /* reach */
			:: else -> parks++
			fi;
			assert(!freed[p])               /* reach */
		:: break
		od;
		mark = 0;
		atomic { k++; g = 0; p = 0; parks = 0; stale = 0 }
	:: else -> break
	od
}

/* Tries to take the memory from a parked section, whose mark was `seen`. */
inline oust(seen)
{
#ifdef OUST_STORE
	mark = mark_of(epoch_of(seen), OUSTED);
	break
#else
#ifdef SKIP_PARKED
	break
#else
	atomic {
		if
		:: mark == seen -> mark = mark_of(epoch_of(seen), OUSTED); break        /* reach */
		:: else                                                                 /* reach */
		fi
	}
#endif
#endif
}

proctype writer(byte w)
{
	byte old, n, seen, k;

	do
	:: k < PERIODS ->
		atomic { old = pointer; pointer = 1 + w * PERIODS + k; k++ };
		atomic { epoch++; n = epoch };
		do
		:: true ->
			seen = mark;
			if
			:: seen == 0 || epoch_of(seen) >= n || class_of(seen) == OUSTED -> break
			:: seen != 0 && epoch_of(seen) < n && class_of(seen) == PARKED -> oust(seen)
			:: seen != 0 && epoch_of(seen) < n && class_of(seen) == ACTIVE -> mark != seen
			fi
		od;
		freed[old] = 1;
		atomic { old = 0; n = 0; seen = 0 }
	:: else -> break
	od
}

init
{
	atomic {
		run reader();
		run writer(0);
#if WRITERS > 1
		run writer(1)
#endif
	}
}
