/* SPDX-License-Identifier: MIT */
/* One target under clang's libFuzzer: FUZZ_TARGET says which. */
#include "fuzz.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	if (FUZZ_TARGET.begin)
		FUZZ_TARGET.begin();
	if (FUZZ_TARGET.end)
		atexit(FUZZ_TARGET.end);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	if (size_bytes <= FUZZ_TARGET.size_max_bytes)
		FUZZ_TARGET.one(data, size_bytes);
	return 0;
}
