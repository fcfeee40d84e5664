/* SPDX-License-Identifier: MIT */
/* The lock between processes: comap__mutex_lock, comap__mutex_unlock and the take-over from the dead.
 *
 * What is modelled. Three threads take the lock, change two words that belong together, and release
 * it; two of them may be killed before any step, within the repair too. A word is {owner's token,
 * waiters}; a token is never given twice. Claims: one living owner at a time (two_inside); whoever
 * is let in finds the two words equal (torn); nobody sleeps for ever (invalid end state).
 *
 * A sleeper's time limit is let run out only where a death calls for it: the owner is dead, or one
 * that was to wake others, or had been woken, died with the wake. So a wake lost otherwise is found,
 * although the limit would hide it from a test.
 *
 * Line by line. lock(): CAS 0 -> me; owner dead: CAS from its exact word, marked if anybody may
 * sleep, then repair; else mark by CAS and sleep on the word. unlock(): CAS back to 0 or exchange,
 * and wake one. give_up(): a deadline that passes.
 *
 * Memory. Steps interleave (sequentially consistent): the lock moves by CAS and exchange alone, with
 * acquire and release around what it protects.
 *
 * run fast holds three-threads
 * run fast holds deadlines-pass            -DGIVE_UP
 * run fast holds token-in-its-next-tenure  -DNEXT_TENURE
 * run fast fails take-over-by-store        -DTAKE_BY_STORE         : two_inside
 * run fast fails free-the-dead-ones-lock   -DFREE_FIRST            : torn
 * run fast fails grant-before-repair       -DREPAIR_LATE           : torn
 * run fast fails token-without-generation  -DNEXT_TENURE -DNO_GENERATION : mine_already
 * run fast fails woken-locks-unmarked      -DWOKEN_UNMARKED        : invalid end state
 * run fast fails deadline-leaves-unmarked  -DGIVE_UP -DLEAVE_UNMARKED -DTHREADS=4 -DKILLED=0 : invalid end state
 * run long fails take-over-unmarked        -DTAKE_UNMARKED -DTHREADS=4 -DKILLED=1 : invalid end state
 * run long holds twice-each                -DTIMES=2
 * run long holds four-threads              -DTHREADS=4 -DKILLED=1
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef TIMES
#define TIMES 1
#endif
#ifndef KILLED
#define KILLED 2        /* so many of the first threads may be killed */
#endif

#define OUT 0
#define UNDECIDED 1     /* woken, or about to wake: others may count on it */

#define owner(word) ((word) >> 1)
#define waiters(word) ((word) & 1)
#define word_of(token, mark) ((token) * 2 + (mark))

byte word;
byte a, b;                      /* what the lock protects: equal, except under it */
bool asleep[THREADS];
bool killed[THREADS];
bool gone[THREADS + 1];         /* by token: dead, for everybody to see */
byte phase[THREADS];
bool wake_lost;
byte inside;                    /* ghost: living threads that were let in */
bool is_inside[THREADS];
bool two_inside, torn, mine_already;

inline wake_one()
{
	atomic {
		if
		:: asleep[0] -> asleep[0] = 0; phase[0] = UNDECIDED
		:: asleep[1] -> asleep[1] = 0; phase[1] = UNDECIDED
		:: asleep[2] -> asleep[2] = 0; phase[2] = UNDECIDED
#if THREADS > 3
		:: asleep[3] -> asleep[3] = 0; phase[3] = UNDECIDED
#endif
		:: else
		fi;
		phase[i] = OUT
	}
}

/* The time limit, where a death calls for it. */
#define limit_passes (gone[owner(word)] || wake_lost)

inline sleep_on(expected)
{
	atomic {
		phase[i] = OUT;
		if
		:: word == expected -> asleep[i] = 1
		:: else
		fi
	};
	if
	:: !asleep[i]
	:: limit_passes -> asleep[i] = 0
	fi
}

inline let_in()
{
	atomic {
		phase[i] = OUT;
		inside++; is_inside[i] = 1;
		two_inside = (inside > 1);
		assert(!two_inside)
	}
}

inline take_over()
{
#ifdef TAKE_UNMARKED
	to = word_of(token, waiters(seen));
#else
	to = word_of(token, waiters(seen) | mark);
#endif
#ifdef FREE_FIRST
	to = 0;
#endif
	atomic {
		if
#ifdef TAKE_BY_STORE
		:: true -> word = to; taken = 1
#else
		:: word == seen -> word = to; taken = 1         /* reach */
		:: else
#endif
		fi
	};
#ifdef FREE_FIRST
	taken = 0
#endif
}

inline repair()
{
	b = a
}

inline lock()
{
	mark = 0;
	do
	:: true ->
		atomic {
			if
			:: word == 0 -> word = word_of(token, mark); break
			:: else -> seen = word
			fi
		};
		mine_already = (owner(seen) == token);
		assert(!mine_already);
		if
		:: gone[owner(seen)] ->
			take_over();
			if
			:: taken -> break
			:: else
			fi
		:: !gone[owner(seen)] ->
			atomic {
				if
				:: word == seen -> word = seen | 1; seen = seen | 1
				:: else -> seen = 0
				fi
			};
			if
			:: seen != 0 -> sleep_on(seen); seen = 0;
#ifndef WOKEN_UNMARKED
				mark = 1
#endif
			:: else
			fi
#ifdef GIVE_UP
		:: mark == 1 && !gone[owner(seen)] ->   /* slept, and the deadline passes */
#ifdef LEAVE_UNMARKED
			phase[i] = OUT;
			goto ended
#else
			atomic {
				if
				:: word == seen -> word = seen | 1; phase[i] = OUT; goto ended
				:: else
				fi
			}
#endif
#endif
		fi
	od;
	let_in();
#ifdef REPAIR_LATE
	torn = (a != b);
	assert(!torn);
#endif
	if
	:: taken -> repair(); taken = 0         /* reach */
	:: else
	fi;
	torn = (a != b);
	assert(!torn)
}

inline unlock()
{
	atomic { inside--; is_inside[i] = 0 };
	atomic { seen = word; word = 0; phase[i] = (waiters(seen) -> UNDECIDED : OUT) };
	if
	:: waiters(seen) -> wake_one()
	:: else
	fi;
	seen = 0
}

proctype thread(byte i; byte token)
{
	byte seen, to, mark;
	byte left = TIMES;
	bool taken;

	{
#ifdef NEXT_TENURE
		/* The record of thread 0 passes on; its token does, only where it has no generation. */
		if
		:: i == 2 ->
end_never:
			gone[1];
			gone[token] = 0
		:: else
		fi;
#endif
		do
		:: left > 0 -> left--; lock(); a = 1 - a; b = 1 - b; unlock()
		:: left == 0 -> break
		od;
		goto ended
	} unless {
		killed[i]
	};
	atomic {
		wake_lost = wake_lost || phase[i] == UNDECIDED;
		inside = inside - is_inside[i];
		is_inside[i] = 0; asleep[i] = 0; phase[i] = OUT;
		gone[token] = 1
	};
ended:
	skip
}

proctype killer(byte i)
{
	if
	:: killed[i] = 1
	:: skip
	fi
}

init
{
	byte i;

	atomic {
		do
		:: i < THREADS ->
#ifdef NO_GENERATION
			run thread(i, (i == 2 -> 1 : i + 1));
#else
			run thread(i, i + 1);
#endif
			i++
		:: else -> break
		od;
#ifdef NEXT_TENURE
		run killer(0)
#else
#if KILLED > 0
		run killer(0);
#endif
#if KILLED > 1
		run killer(1)
#endif
#endif
	}
}
