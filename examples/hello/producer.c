/* SPDX-License-Identifier: MIT */
/* The first lines of a producer, word for word as README.md shows them. */
#include <comap/easy.h>
#include <unistd.h>
#include "fx.h"

int main(void)
{
	struct comap *r = comap_open_or_die("fx", COMAP_CREATE);
	struct comap_value *v = comap_value_open_or_die(r, "rates", COMAP_TYPE(struct fx));
	for (double rate = 1.0842;; rate += 0.0001, sleep(1)) {
		struct fx now = { rate, comap_now_ns() };
		comap_value_put_or_die(v, &now, sizeof now);
	}
}
