/* SPDX-License-Identifier: MIT */
/* The clean flag: comap__region_attach and comap__region_detach.
 *
 * What is modelled. The control word {attach count, clean}. Each process takes a seat, raises the
 * count and clears `clean` in one step, works, then leaves in order or dies while it works. Who
 * leaves gives its seat up, reads the word, looks for other seats, and sets `clean` by CAS from what
 * it read. Claims: the region is never called clean while somebody works in it or after a death in
 * it (working_on_clean, died_on_clean); when all left in order, it is clean (left_unclean).
 *
 * Memory. Steps interleave (sequentially consistent): the word moves by read-modify-write only, and
 * a seat is won by CAS before the count is raised.
 *
 * run fast holds three-processes
 * run fast fails plain-store              -DPLAIN_STORE          : working_on_clean
 * run fast fails count-not-raised         -DCOUNT_STAYS          : working_on_clean
 * run fast fails count-before-seat        -DCOUNT_FIRST          : working_on_clean
 * run fast fails read-after-the-scan      -DREAD_LATE            : working_on_clean
 * run fast fails seat-kept-over-the-scan  -DSEAT_LATE            : left_unclean
 */
#ifndef PROCESSES
#define PROCESSES 3
#endif

bool seated[PROCESSES];
byte count;
bool clean = 1;
byte ended;
bool died;
bool working_on_clean, died_on_clean, left_unclean;

inline attach()
{
#ifdef COUNT_FIRST
	atomic { count++; clean = 0 };
	seated[i] = 1
#else
	seated[i] = 1;
#ifdef COUNT_STAYS
	clean = 0
#else
	atomic { count++; clean = 0 }
#endif
#endif
}

inline mark_clean()
{
#ifdef PLAIN_STORE
	clean = 1
#else
	atomic {
		if
		:: count == seen && !clean -> clean = 1         /* reach */
		:: else                                         /* reach */
		fi
	}
#endif
}

inline detach()
{
#ifndef SEAT_LATE
	seated[i] = 0;
#endif
#ifndef READ_LATE
	seen = count;
#endif
	other = 0;
	do
	:: other < PROCESSES && (other == i || !seated[other]) -> other++
	:: else -> break
	od;
#ifdef READ_LATE
	seen = count;
#endif
	if
	:: other == PROCESSES -> mark_clean()
	:: else
	fi;
#ifdef SEAT_LATE
	seated[i] = 0;
#endif
	atomic { ended++; seen = 0; other = 0 }
}

proctype process(byte i)
{
	byte seen, other;

	attach();
	atomic { working_on_clean = clean; assert(!working_on_clean) };
	atomic { working_on_clean = clean; assert(!working_on_clean) };
	if
	:: detach()
	:: atomic { ended++; died = 1 }         /* the seat stays taken: dead and not yet swept */
	fi
}

init
{
	byte i;

	atomic {
		do
		:: i < PROCESSES -> run process(i); i++
		:: else -> break
		od
	};
	ended == PROCESSES;
	atomic {
		died_on_clean = died && clean;
		left_unclean = !died && !clean;
		assert(!died_on_clean);
		assert(!left_unclean)
	}
}
