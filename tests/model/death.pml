/* SPDX-License-Identifier: MIT */
/* Life and death: comap__seat_claim, comap__seat_probe, comap__seat_sweep, and what
 * comap_synchronize makes of the dead.
 *
 * What is modelled. One seat and one thread record serve several lives, one after the other. A life
 * takes the byte lock, wins the seat, claims the record, reads in sections, then leaves in order or
 * is killed between any two steps; the kernel drops its lock some time later. Survivors retire
 * blocks, wait for the record's mark, declare the life dead and sweep; one of them may stop for ever
 * at any step. Claims: no live reader looks at a block given back (freed); a seat found free has
 * nothing left of its last life (owner); a live process is never declared dead (holder); no
 * survivor waits for ever (invalid end state).
 *
 * Line by line. life(): F_OFD_SETLK, CAS FREE(gen) -> LIVE(gen), CAS owner 0 -> {seat, gen}, clear
 * the mark it now owns. survivor(): comap_synchronize: read owner, seat, mark; where it must wait,
 * probe and CAS LIVE(gen) -> DEAD(gen). sweep(): CAS owner {seat, gen} -> 0, then CAS DEAD(gen) ->
 * FREE(gen + 1). The sweeper's mutex is left out: two may sweep at once.
 *
 * Memory. Steps interleave (sequentially consistent); grace.pml has the barriers.
 *
 * run fast holds two-lives                -DSECTIONS=1 -DKILLED=1 -DSTOPS=0
 * run fast holds a-survivor-stops         -DSECTIONS=1 -DKILLED=1 -DLIVES=1
 * run fast holds three-lives              -DLIVES=3 -DSECTIONS=1 -DSURVIVORS=1 -DPERIODS=2
 * run fast fails reaper-clears-the-mark   -DCLEAR_MARK                     : freed
 * run fast fails owner-without-generation -DNO_GENERATION                  : freed
 * run fast fails live-before-lock         -DLIVE_BEFORE_LOCK               : (holder==0)
 * run fast fails free-before-swept        -DFREE_FIRST                     : (owner==0)
 * run fast fails dead-not-skipped         -DWAIT_FOR_DEAD                  : invalid end state
 * run long holds both-killed              -DSECTIONS=1
 * run long holds three-lives-two-sweepers -DLIVES=3 -DSECTIONS=1 -DKILLED=1 -DSTOPS=0
 */
#ifndef LIVES
#define LIVES 2
#endif
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef SURVIVORS
#define SURVIVORS 2
#endif
#ifndef PERIODS
#define PERIODS 1
#endif

#ifndef KILLED
#define KILLED LIVES    /* so many of the first lives may be killed */
#endif
#ifndef STOPS
#define STOPS (SURVIVORS > 1)
#endif

#define BLOCKS (1 + SURVIVORS * PERIODS)

/* The seat word: generation * 4 + state. */
#define FREE 0
#define LIVE 1
#define DEAD 2
#define seat_word(gen, state) ((gen) * 4 + (state))
#define generation(word) ((word) / 4)
#define state(word) ((word) % 4)

#ifdef NO_GENERATION
#define owner_word(gen) 1
#else
#define owner_word(gen) (1 + (gen))
#endif

byte epoch = 1;
byte pointer;
bool freed[BLOCKS];
byte seat = seat_word(0, FREE);
byte lock;                      /* the kernel's: 0, or 1 + the life that holds the byte */
byte owner;                     /* the record's: 0, or owner_word(gen) */
byte mark;
bool killed[LIVES];
bool stop;                      /* survivor 0 takes no further step */
byte holder;                    /* ghost: 1 + the life that is in the seat and runs */

inline cas(done, place, from, to)
{
	atomic { done = (place == (from)); place = (done -> (to) : place) }
}

inline attach()
{
#ifdef LIVE_BEFORE_LOCK
	atomic { state(seat) == FREE -> assert(owner == 0); gen = generation(seat);
		seat = seat_word(gen, LIVE); holder = 1 + i };
	atomic { lock == 0 -> lock = 1 + i };
#else
	atomic { lock == 0 && state(seat) == FREE -> lock = 1 + i };
	atomic { assert(state(seat) == FREE && owner == 0); gen = generation(seat);
		seat = seat_word(gen, LIVE); holder = 1 + i };
#endif
	atomic { owner == 0 -> owner = owner_word(gen) };
	mark = 0
}

inline section()
{
	g = epoch;
	mark = g;
	p = pointer;
	assert(!freed[p]);
	mark = 0;
	atomic { left--; g = 0; p = 0 }
}

inline detach()
{
	owner = 0;
	atomic { seat = seat_word(gen + 1, FREE); holder = 0 };
	lock = 0
}

proctype life(byte i)
{
	byte gen, g, p;
	byte left = SECTIONS;

	{
		attach();
		do
		:: left > 0 -> section()
		:: left == 0 -> break
		od;
		detach();
		goto ended
	} unless {
		killed[i]
	};
	/* Address spaces end a while after their last instruction. */
	atomic { lock = (lock == 1 + i -> 0 : lock); gen = 0; g = 0; p = 0; left = 0 };
ended:
	skip
}

/* A survivor stops for ever, anywhere between two steps: nobody waits for it. */
proctype stopper()
{
	if
	:: stop = 1
	:: skip
	fi
}

/* SIGKILL, at any time or never. */
proctype killer(byte i)
{
	if
	:: atomic { killed[i] = 1; holder = (holder == 1 + i -> 0 : holder) }
	:: skip
	fi
}

inline declare_dead(word)
{
	atomic {
		if
		:: seat == word ->
			assert(holder == 0);
			seat = seat_word(generation(word), DEAD)        /* reach */
		:: else
		fi
	}
}

inline sweep(word, m)
{
	word = seat;
	if
	:: state(word) == DEAD ->               /* reach */
#ifdef FREE_FIRST
		cas(done, seat, word, seat_word(generation(word) + 1, FREE));
#endif
#ifdef CLEAR_MARK
		m = mark;
		cas(done, mark, m, 0);
#endif
		cas(done, owner, owner_word(generation(word)), 0);
		cas(done, seat, word, seat_word(generation(word) + 1, FREE))
	:: else
	fi;
	atomic { word = 0; m = 0; done = 0 }
}

#ifdef WAIT_FOR_DEAD
#define gone(o, word) (o == 0)
#else
#define gone(o, word) (o == 0 || state(word) == DEAD || owner_word(generation(word)) != o)
#endif
#define passed(n) (mark == 0 || mark >= n)

/* Waits until no section of the record is older than `n`. */
inline wait_for_record(n)
{
	do
	:: true ->
		o = owner;
		word = seat;
		if
		:: gone(o, word) -> break
		:: else
		fi;
		if
		:: passed(n) -> break
		:: owner != o || seat != word           /* look again */
		:: lock == 0 && state(word) == LIVE -> declare_dead(word)
		fi
	od;
	atomic { o = 0; word = 0 }
}

proctype survivor(byte w)
{
	byte n, o, word, old, m, k;
	bool done;

	{
end:
	do
	:: k < PERIODS ->
		atomic { old = pointer; pointer = 1 + w * PERIODS + k; k++ };
		atomic { epoch++; n = epoch };
		wait_for_record(n);
		freed[old] = 1;
		atomic { n = 0; old = 0 }
	/* Deaths do not wait for somebody's next grace period. */
	:: atomic { lock == 0 && state(seat) == LIVE -> word = seat };
		declare_dead(word);
		word = 0
	:: state(seat) == DEAD -> sweep(word, m)
	od
	} unless {
		stop && w == 0
	}
}

init
{
	byte i;

	atomic {
		do
		:: i < LIVES -> run life(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < KILLED -> run killer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < SURVIVORS -> run survivor(i); i++
		:: else -> break
		od;
		if
		:: STOPS -> run stopper()
		:: else
		fi
	}
}
