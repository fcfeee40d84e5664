/* SPDX-License-Identifier: MIT */
/* A table of records: what the compiler knows of them, nobody says twice. Run it several times. */
#include <comap/easy.h>
#include <errno.h>

struct price { double bid, ask; uint64_t puts; };
COMAP_FIELDS(struct price, COMAP_FIELD(f64, bid), COMAP_FIELD(f64, ask), COMAP_FIELD(u64, puts));

int main(void)
{
	struct comap *r = comap_open_or_die("market", COMAP_CREATE);
	struct comap_table *t = COMAP_TABLE_OPEN_AS(struct price, r, "prices");
	uint32_t instrument = 840;
	struct price now;
	int code;

	if (!t)
		comap_die("prices");
	do {
		now = (struct price){ 1.0842, 1.0844, 0 };
		COMAP_READ_EVICTABLE(r, &code) { /* gives way when writers need the memory */
			const struct price *p = COMAP_TABLE_VIEW_AS(struct price, t, &instrument);

			if (p)
				now = *p;
		}
	} while (code == -ESTALE);
	if (code != 0)
		comap_die("read");
	now.puts++;
	if (COMAP_TABLE_PUT_AS(struct price, t, &instrument, &now) != 0)
		comap_die("put");
	printf("%u: %g to %g, put %ju times\n", instrument, now.bid, now.ask, (uintmax_t)now.puts);
	comap_table_close(t);
	return comap_close(r);
}
