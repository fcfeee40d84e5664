/* SPDX-License-Identifier: MIT */
/* Tree RCU: a process whose threads read under a liburcu flavour, with one mark for all of them.
 *
 * What is modelled. Threads enter sections of the flavour and look at region memory. A synchronizer
 * of another process unlinks, draws a ticket, asks the process's helper and waits for its report. The
 * helper, asked, loads the epoch, runs the flavour's synchronize, and reports the process quiescent
 * for that epoch. Claim: no thread looks at a block given back (freed); no synchronizer waits for
 * ever, the process's death included (invalid end state).
 *
 * Line by line. helper() is the thread that comap's leaf mode runs; flavour_synchronize() stands for
 * synchronize_rcu() of the flavour by its contract: sections open at its start are over at its end.
 * synchronizer() is comap_synchronize, where the record says leaf.
 *
 * Memory. Steps interleave (sequentially consistent); a flavour's grace period orders what its caller
 * saw before it against every section that begins after.
 *
 * run fast holds two-threads
 * run fast holds two-synchronizers         -DSYNCHRONIZERS=2 -DSECTIONS=1
 * run fast holds process-dies              -DDIES
 * run fast fails epoch-read-after          -DEPOCH_AFTER -DSYNCHRONIZERS=2 : freed
 * run fast fails reports-what-was-asked    -DREPORT_ASKED_AFTER -DSYNCHRONIZERS=2 : freed
 * run fast fails no-flavour-synchronize    -DNO_FLAVOUR              : freed
 * run fast fails ask-overwrites            -DASK_STORE -DSYNCHRONIZERS=2 -DPERIODS=2 -DSECTIONS=1 : invalid end state
 * run fast fails dead-process-awaited      -DDIES -DWAIT_FOR_DEAD    : invalid end state
 * run long holds two-synchronizers-twice   -DSYNCHRONIZERS=2 -DPERIODS=2
 * run long holds two-synchronizers-die     -DSYNCHRONIZERS=2 -DDIES
 */
#define THREADS 2
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef SYNCHRONIZERS
#define SYNCHRONIZERS 1
#endif
#ifndef PERIODS
#define PERIODS (3 - SYNCHRONIZERS)
#endif
#define BLOCKS (1 + SYNCHRONIZERS * PERIODS)

byte epoch = 1;
byte pointer;
bool freed[BLOCKS];
byte asked;                     /* the largest ticket that somebody waits for */
byte reported;                  /* the process's mark: quiescent for this epoch */
byte section[THREADS];          /* the flavour's own: 0, or the number of the open section */
bool dead;

proctype thread(byte i)
{
	byte p, k;

	{
		do
		:: k < SECTIONS ->
			k++;
			section[i] = k;
			p = pointer;
			assert(!freed[p]);
			section[i] = 0
		:: else -> break
		od;
		goto ended
	} unless {
		dead
	};
	section[i] = 0;
ended:
	skip
}

inline flavour_synchronize()
{
#ifdef NO_FLAVOUR
	skip
#else
	atomic { open0 = section[0]; open1 = section[1] };
	open0 == 0 || section[0] != open0;
	open1 == 0 || section[1] != open1;
	atomic { open0 = 0; open1 = 0 }
#endif
}

proctype helper()
{
	byte e, open0, open1;

	{
end:
		do
		:: asked > reported ->
#ifdef EPOCH_AFTER
			flavour_synchronize();
			e = epoch;
#else
#ifdef REPORT_ASKED_AFTER
			flavour_synchronize();
			e = asked;
#else
			e = epoch;
			flavour_synchronize();
#endif
#endif
			reported = e;
			e = 0                           /* reach */
		od
	} unless {
		dead
	}
}

proctype killer()
{
	if
	:: dead = 1
	:: skip
	fi
}

#ifdef WAIT_FOR_DEAD
#define skipped 0
#else
#define skipped dead
#endif

proctype synchronizer(byte w)
{
	byte old, n, k;

	do
	:: k < PERIODS ->
		atomic { old = pointer; pointer = 1 + w * PERIODS + k; k++ };
		atomic { epoch++; n = epoch };
#ifdef ASK_STORE
		asked = n;
#else
		asked = (asked > n -> asked : n);
#endif
		reported >= n || skipped;
		freed[old] = 1;
		atomic { old = 0; n = 0 }
	:: else -> break
	od
}

init
{
	atomic {
		run thread(0); run thread(1); run helper();
#ifdef DIES
		run killer();
#endif
		run synchronizer(0);
#if SYNCHRONIZERS > 1
		run synchronizer(1)
#endif
	}
}
