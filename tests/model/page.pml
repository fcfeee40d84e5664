/* SPDX-License-Identifier: MIT */
/* Who allocates from a page of the heap: form_page, adopt_page and leave_page of heap.c.
 *
 * What is modelled. One page and its word {kind, owner}; each thread wants blocks of one of two sizes.
 * It adopts the page where the word says that it is nobody's, or of a thread that has ended, and the
 * size fits; else it forms it anew where it is free. Then it allocates, and leaves: the page is free
 * again where nothing of it is in use, else nobody's. Threads die anywhere while the page is theirs; a
 * sweep takes back what they were forming. Claims: two living threads never allocate from the page at
 * once (two_inside), and who allocates cuts it into blocks of the size it was formed with (wrong_size).
 *
 * Line by line. adopt(): the word with acquire, the size as a hint, CAS, the size again. form(): CAS to
 * FORMING, the states and the size, the word with release. leave(): CAS. What the model is there for is
 * the second look at the size: between the first and the CAS the page may have been left free, formed
 * with the other size and left again, and its word is then the same as before (size-asked-once).
 *
 * Memory. Steps interleave; the size before the word that publishes it is a configuration with the
 * two in the other order (word-before-size), which is what a missing release would allow.
 *
 * run fast holds two-threads
 * run fast holds two-threads-three-times     -DROUNDS=3
 * run fast holds three-threads-once          -DTHREADS=3 -DROUNDS=1
 * run fast fails size-asked-once             -DTHREADS=3 -DASK_ONCE  : wrong_size
 * run fast fails adopts-by-store             -DADOPT_STORE           : assertion violated
 * run fast fails adopts-the-livings          -DADOPT_LIVING          : two_inside
 * run fast fails word-before-size            -DWORD_FIRST            : wrong_size
 * run fast fails forms-by-store              -DFORM_STORE            : two_inside
 * run long holds three-threads               -DTHREADS=3
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define FREE 0
#define FORMING 1
#define CLASS 2
#define NOBODY 0
#define me (i + 1)
#define word_of(kind, owner) ((kind) * 8 + (owner))

byte word = word_of(FREE, NOBODY);
byte size = 1;
byte cut = 1;                   /* for which size the states were laid out */
byte inside;                    /* living threads that allocate from the page */
bool gone[THREADS + 1];         /* by token: dead, or ended */
bool two_inside, wrong_size;

/* From here on the thread takes blocks of the size that it wants. */
inline allocate()
{
	atomic {
		inside++;
		two_inside = inside > 1;
		wrong_size = size != wanted || cut != wanted;
		assert(!two_inside);
		assert(!wrong_size)
	}
}

inline adopt()
{
	atomic { seen = word; fits = seen / 8 == CLASS && size == wanted };
	mine = false;
	if
	:: !fits
#ifdef ADOPT_LIVING
	:: fits ->
#else
	:: fits && seen % 8 != NOBODY && !gone[seen % 8]
	:: fits && (seen % 8 == NOBODY || gone[seen % 8]) ->
#endif
#ifdef ADOPT_STORE
		word = word_of(CLASS, me);
		mine = true
#else
		atomic {
			if
			:: word == seen -> word = word_of(CLASS, me); mine = true       /* reach */
			:: else                                                         /* reach */
			fi
		}
#endif
	fi;
#ifndef ASK_ONCE
	if
	:: mine && size != wanted -> word = word_of(CLASS, NOBODY); mine = false        /* reach */
	:: else
	fi
#endif
}

inline form()
{
#ifdef FORM_STORE
	if
	:: word == word_of(FREE, NOBODY) -> word = word_of(FORMING, me); mine = true
	:: else
	fi;
#else
	atomic {
		if
		:: word == word_of(FREE, NOBODY) -> word = word_of(FORMING, me); mine = true
		:: else
		fi
	}
#endif
	if
	:: mine ->
#ifdef WORD_FIRST
		word = word_of(CLASS, me);
#endif
		cut = wanted;
		if
		:: gone[me] = true      /* dies here */
		:: size = wanted
		fi;
#ifndef WORD_FIRST
		if
		:: !gone[me] -> word = word_of(CLASS, me)
		:: else                                                                 /* reach */
		fi
#endif
	:: else
	fi
}

/* By CAS: FREE where all blocks are, else nobody's. */
inline leave()
{
	atomic {
		inside--;
		if
		:: word == word_of(CLASS, me) -> word = word_of(FREE, NOBODY)
		:: word == word_of(CLASS, me) -> word = word_of(CLASS, NOBODY)
		:: word != word_of(CLASS, me)
		fi
	}
}

proctype thread(byte i)
{
	byte wanted, seen, round;
	bool fits, mine;

	do
	:: round < ROUNDS ->
		round++;
		if
		:: wanted = 1
		:: wanted = 2
		fi;
		adopt();
		if
		:: !mine -> form()
		:: else
		fi;
		if
		:: gone[me] -> break
		:: mine && !gone[me] ->
			allocate();
			if
			:: leave()
			:: atomic { inside--; gone[me] = true; break }          /* reach */
			fi
		:: else
		fi
	:: else -> break
	od
}

/* Takes back what the dead were forming. */
active proctype sweep()
{
end:
	do
	:: atomic { word / 8 == FORMING && gone[word % 8] -> word = word_of(FREE, NOBODY) }     /* reach */
	od
}

init
{
	byte n;

	atomic {
		do
		:: n < THREADS -> run thread(n); n++
		:: else -> break
		od
	}
}
