/* SPDX-License-Identifier: MIT */
/* Turns: who computes a key that several miss. comap_table_fetch() against comap_table_turn_put(), death,
 * patience, and somebody who removes the key.
 *
 * What is modelled. Workers miss a key. Under the stripe's lock (one atomic step: mutex.pml has the lock)
 * a worker finds the value, or begins a turn: a place that is free, whose owner is dead, or whose owner it
 * robs after a patience. It reads the source, and puts what it read: under the lock again, where its ticket
 * is still the place's and the place is taken; that ends the turn. Others wait until the turn is over or
 * its owner is found dead. Workers may die between any two steps. An updater changes the source, then
 * removes the key, which ends whatever turn there is. (Sleeping and waking: wake.pml.)
 *
 * Claims: what is put after the removal is not of before the update; nobody begins a turn while another
 * living worker has one, unless it robs; a value that stands is not overwritten by a turn that was robbed;
 * nobody waits for ever (invalid end state).
 *
 * run fast holds three-workers             -DWORKERS=3 -DROBS=0 -DDEATHS=2
 * run fast holds robbed                    -DROBS=1
 * run fast holds robbed-twice              -DROBS=2 -DDEATHS=0
 * run fast fails put-without-a-look        -DPUT_ANYHOW                  : assertion violated
 * run fast fails put-while-taken           -DNO_TICKET                   : assertion violated
 * run fast fails removal-ends-no-turn      -DROBS=0 -DDEATHS=0 -DNO_END  : fresh
 * run fast fails ended-after-the-lock      -DROBS=0 -DDEATHS=0 -DEND_LATE : alone
 * run fast fails death-is-not-looked-for   -DROBS=0 -DNO_PROBE           : invalid end state
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ROBS
#define ROBS 1
#endif
#define FETCHES 2               /* of each worker */

/* In the table. */
bool there;
byte value;
byte owner;                     /* worker + 1; 0: free */
byte ticket;

/* Outside. */
byte source = 1;
bool removed;                   /* the updater is done */
bool dead[WORKERS];
bool computes[WORKERS];         /* has a turn and was not robbed */
byte deaths = DEATHS, robs = ROBS;
bool fresh = 1, alone = 1;

inline may_die()
{
	if
	:: atomic { deaths > 0 -> deaths--; dead[me] = 1; computes[me] = 0; goto gone }
	:: skip
	fi
}

/* A place is taken, by whomever it was before. */
inline begin()
{
	if
	:: owner != 0 && computes[owner - 1] -> alone = 0
	:: else
	fi;
	ticket++;
	owner = me + 1;
	mine = ticket;
	computes[me] = 1
}

proctype worker(byte me)
{
	byte mine, read, seen_owner, seen_ticket, n, k;
	bool rob, yours;

again:
	yours = 0;
	atomic {        /* take() */
		if
		:: there                                                /* reach */
		:: !there && owner == 0 ->
			/* Nobody else may be at it, though the place is free. */
			k = 0;
			do
			:: k < WORKERS -> alone = alone && !(computes[k]); k++
			:: k == WORKERS -> break
			od;
			k = 0;
			assert(alone);
			begin();
			yours = 1
		:: !there && owner != 0 && rob && ticket == seen_ticket ->
			computes[owner - 1] = 0;
			begin();
			yours = 1                                       /* reach */
		:: !there && owner != 0 && !(rob && ticket == seen_ticket) ->
			seen_owner = owner;
			seen_ticket = ticket
		fi;
		rob = 0
	}
	if
	:: yours -> goto compute
	:: !yours && seen_owner != 0 -> skip
	:: !yours && seen_owner == 0 -> goto next
	fi;
	/* wait_for_turn() */
	if
	:: owner != seen_owner || ticket != seen_ticket                 /* reach */
#ifndef NO_PROBE
	:: dead[seen_owner - 1] -> rob = 1                              /* reach */
#endif
	:: atomic { robs > 0 -> robs--; rob = 1 }                       /* patience */
	fi;
	seen_owner = 0;
	goto again;

compute:
	may_die();
	read = source;
	may_die();
	atomic {        /* comap_table_turn_put() */
		if
#ifdef PUT_ANYHOW
		:: true ->
#elif defined(NO_TICKET)
		:: owner != 0 ->
#else
		:: owner != 0 && ticket == mine ->
#endif
			fresh = fresh && !(removed && read < source);
			assert(fresh);
			assert(!there || ticket == mine);
			there = 1;
			value = read;
#ifndef END_LATE
			owner = 0;
			computes[me] = 0
#endif
		:: else -> computes[me] = 0                             /* reach */
		fi
	}
#ifdef END_LATE
	computes[me] = 0;
	owner = 0;
#endif
	may_die();
next:
	n++;
	if
	:: n < FETCHES -> goto again
	:: n == FETCHES
	fi;
gone:
	skip
}

active proctype updater()
{
	source = 2;
	atomic {        /* comap_table_remove() */
		there = 0;
		removed = 1;
#ifndef NO_END
		if
		:: owner != 0 -> computes[owner - 1] = 0; owner = 0     /* reach */
		:: else
		fi
#endif
	}
}

init
{
	atomic {
		run worker(0);
		run worker(1);
#if WORKERS > 2
		run worker(2)
#endif
	}
}
