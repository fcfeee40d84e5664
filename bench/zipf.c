/* SPDX-License-Identifier: MIT */
/* See zipf.h. */
#include "zipf.h"

#include <math.h>
#include <stdlib.h>

double *zipf_sums(uint32_t count, double exponent)
{
	double *sums = malloc(count * sizeof *sums), sum = 0;

	for (uint32_t i = 0; sums && i < count; i++)
		sums[i] = sum += pow(i + 1, -exponent);
	return sums;
}

uint32_t zipf_pick(const double *sums, uint32_t count, uint64_t random_bits)
{
	double at = (double)(random_bits >> 11) / 9007199254740992.0 * sums[count - 1];
	uint32_t low = 0, high = count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
