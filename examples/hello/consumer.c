/* SPDX-License-Identifier: MIT */
/* The first lines of a consumer, word for word as README.md shows them. */
#include <comap/easy.h>
#include "fx.h"

int main(void)
{
	struct comap *r = comap_open_or_die("fx", COMAP_WAIT);
	struct comap_value *v = comap_value_open_or_die(r, "rates", COMAP_TYPE(struct fx));
	for (uint64_t seen = 0; comap_value_wait(v, seen, COMAP_FOREVER) == 0;)
		COMAP_READ(r) {
			struct comap_view w = comap_value_view(v); /* in place: nothing is copied */
			printf("%g (version %ju)\n", ((const struct fx *)w.data)->eurusd, seen = w.version);
		}
}
