/* SPDX-License-Identifier: MIT */
/* Sleep and wake: comap_value_wait against comap_value_publish, over comap__futex_wait and _wake.
 *
 * What is modelled. Sleepers want each version in turn: a sleeper sets the flag, looks at the sequence
 * word again, and sleeps on the word that holds the flag, as it left it. Wakers store a new version,
 * look at the flag, clear it by one read-modify-write that changes the rest of the word too, and wake
 * all. With a flag and nothing else (PLAIN_FLAG) one sleeper is safe and two are not: the first finds
 * the flag of the second, set after the waker cleared its own, and sleeps over a version. Claim: nobody sleeps while there is a version it has not seen (invalid end state).
 *
 * Memory. Each side's plain store (flag, sequence) may land after its next load, unless it fences in
 * between; exchanges and the kernel's own comparison see memory as it is.
 *
 * run fast holds one-sleeper-one-waker
 * run fast holds two-wakers                -DWAKERS=2 -DVERSIONS=2
 * run fast holds two-sleepers              -DSLEEPERS=2 -DVERSIONS=2
 * run fast holds plain-flag-one-sleeper    -DPLAIN_FLAG -DWAKERS=2 -DVERSIONS=2
 * run fast fails plain-flag-two-sleepers   -DPLAIN_FLAG -DSLEEPERS=2 -DVERSIONS=2 : invalid end state
 * run fast holds waker-dies-bounded        -DWAKER_DIES -DLIMIT
 * run fast fails sleeps-on-the-sequence    -DPLAIN_FLAG -DSLEEP_ON_SEQUENCE : invalid end state
 * run fast fails sleeper-does-not-fence    -DSLEEPER_UNFENCED             : invalid end state
 * run fast fails waker-does-not-fence      -DWAKER_UNFENCED               : invalid end state
 * run fast fails no-second-look            -DNO_SECOND_LOOK               : invalid end state
 * run fast fails wakes-one-of-two          -DSLEEPERS=2 -DVERSIONS=2 -DWAKE_ONE : invalid end state
 * run fast fails waker-dies-unbounded      -DWAKER_DIES                   : invalid end state
 */
#ifndef SLEEPERS
#define SLEEPERS 1
#endif
#ifndef WAKERS
#define WAKERS 1
#endif
#ifndef VERSIONS
#define VERSIONS 3      /* by each waker */
#endif

byte sequence;
byte word;                      /* generation * 2 + flag */
bool asleep[SLEEPERS];
bool flag_late[SLEEPERS];       /* a store of 1 to the flag that has not landed */
byte added[WAKERS];             /* versions that have not landed (each waker's word is its own) */

/* Stores land at any time later. */
proctype memory()
{
	byte i;
end:
	do
	:: atomic { flag_late[0] -> flag_late[0] = 0; word = word | 1 }
#if SLEEPERS > 1
	:: atomic { flag_late[1] -> flag_late[1] = 0; word = word | 1 }
#endif
	:: atomic { added[0] > 0 -> sequence = sequence + added[0]; added[0] = 0 }
#if WAKERS > 1
	:: atomic { added[1] > 0 -> sequence = sequence + added[1]; added[1] = 0 }
#endif
	od
}

/* FUTEX_WAIT: the kernel compares and goes to sleep in one step; it is a full barrier. */
inline futex_wait(matches)
{
	atomic {
		if
		:: flag_late[i] -> flag_late[i] = 0; word = word | 1
		:: else
		fi;
		if
		:: matches -> asleep[i] = 1     /* reach */
		:: else                         /* reach */
		fi
	};
	if
	:: !asleep[i]
#ifdef LIMIT
	:: asleep[i] && sequence != seen -> asleep[i] = 0       /* the time limit of a sleep */
#endif
	fi
}

proctype sleeper(byte i)
{
	byte seen, mine;

	do
	:: sequence != seen -> seen = sequence
	:: sequence == seen && seen == WAKERS * VERSIONS -> break
	:: sequence == seen && seen < WAKERS * VERSIONS ->
#ifdef SLEEPER_UNFENCED
		atomic { flag_late[i] = 1; mine = word | 1 };
#else
		atomic { word = word | 1; mine = word };
#endif
#ifndef NO_SECOND_LOOK
		if
		:: sequence != seen -> goto again
		:: sequence == seen
		fi;
#endif
#ifdef PLAIN_FLAG
#define unchanged (word & 1)
#define cleared(word) 0
#else
#define unchanged (word == mine)
#define cleared(word) (((word) & 254) + 2)
#endif
#ifdef SLEEP_ON_SEQUENCE
		futex_wait(sequence == seen);
#else
		futex_wait(unchanged);
#endif
again:
		mine = 0
	od
}

inline wake()
{
	atomic {
#ifdef WAKE_ONE
		if
		:: asleep[0] -> asleep[0] = 0
		:: asleep[1] -> asleep[1] = 0
		:: else
		fi
#else
		asleep[0] = 0;
#if SLEEPERS > 1
		asleep[1] = 0
#endif
#endif
	}
}

proctype waker(byte w)
{
	byte k;
	bool was;

	do
	:: k < VERSIONS ->
		k++;
		added[w] = 1;
#ifndef WAKER_UNFENCED
		added[w] == 0;
#endif
		if
		:: word & 1 ->
			/* A read-modify-write: its own stores have landed. */
			atomic { sequence = sequence + added[w]; added[w] = 0; was = word & 1;
				word = (was -> cleared(word) : word) };
#ifdef WAKER_DIES
			if
			:: k == VERSIONS -> break       /* between exchange and wake; its work was done */
			:: skip
			fi;
#endif
			if
			:: was -> wake()                /* reach */
			:: else
			fi;
			was = 0
		:: !(word & 1)
		fi;
		added[w] == 0                           /* the next publish is a call later */
	:: else -> break
	od
}

init
{
	atomic {
		run memory();
		run sleeper(0);
#if SLEEPERS > 1
		run sleeper(1);
#endif
		run waker(0);
#if WAKERS > 1
		run waker(1)
#endif
	}
}
