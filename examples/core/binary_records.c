/* SPDX-License-Identifier: MIT */
/* Records in a file that describes itself: the reader's struct is laid over the bytes, checked once.
 *
 *     binary-records write FILE COUNT      makes a file of COUNT measurements
 *     binary-records sum FILE              reads them in place
 *
 * Change the struct in one of two copies of this program, and the other refuses the file in words. */
#include <comap/error.h>
#include <comap/mapping.h>
#include <comap/records.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct measurement {
	uint64_t id;
	double value;
	char unit[8];
};
COMAP_FIELDS(struct measurement, COMAP_FIELD(u64, id), COMAP_FIELD(f64, value),
             COMAP_FIELD(str, unit));

/* The header, then the records; the file is made as long as both before anything is stored. */
static int write_file(const char *path, uint64_t count)
{
	const struct comap_type *type = COMAP_TYPE(struct measurement);
	unsigned char header[COMAP_RECORDS_HEADER_MAX];
	int64_t header_bytes = comap_records_header(type, header, sizeof header);
	struct comap_records records;
	struct comap_map *map;
	int code;

	if (header_bytes < 0)
		return (int)header_bytes;
	code = comap_map_open(path, COMAP_MAP_OPTIONS(
		.mode = COMAP_MAP_WRITE, .flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND,
		.size_bytes = (uint64_t)header_bytes + count * type->size_bytes), &map);
	if (code)
		return code;
	memcpy(comap_map_data_mutable(map), header, (size_t)header_bytes);
	code = comap_records_open_described(map, type, COMAP_RECORDS_WRITE, &records);
	for (uint64_t i = 0; code == 0 && i < count; i++) {
		struct measurement *m = comap_records_at_mutable(&records, i);

		*m = (struct measurement){ .id = i + 1, .value = (double)i * 0.25, .unit = "mm" };
	}
	comap_map_close(map);
	return code;
}

static int sum_file(const char *path)
{
	struct comap_records records;
	struct comap_map *map;
	double sum = 0;
	int code = comap_map_open(path, NULL, &map);

	if (code)
		return code;
	code = comap_records_open_described(map, COMAP_TYPE(struct measurement), 0, &records);
	for (uint64_t i = 0; code == 0 && i < comap_records_count(&records); i++)
		sum += COMAP_RECORD(struct measurement, &records, i)->value;
	if (code == 0)
		printf("%" PRIu64 " measurements, sum %.2f\n", comap_records_count(&records), sum);
	comap_map_close(map);
	return code;
}

int main(int argc, char **argv)
{
	int code;

	if (argc == 4 && strcmp(argv[1], "write") == 0)
		code = write_file(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "sum") == 0)
		code = sum_file(argv[2]);
	else
		return fputs("usage: binary-records write FILE COUNT | sum FILE\n", stderr), 2;
	if (code)
		fprintf(stderr, "binary-records: %s: %s\n", argv[2], comap_error_text());
	return code != 0;
}
