/* SPDX-License-Identifier: MIT */
/* A parser that jumps about a binary file: symbols of an ELF file by name, in place.
 *
 *     elf-symbols FILE NAME ...        prints address, size and name of each that is defined
 *
 * Every offset in the file is an assertion of whoever wrote it: comap_map_at() and the record views
 * check each before it is followed, so a damaged file is an error here, never a wild read. */
#include <comap/error.h>
#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/records.h>

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAID (-4096) /* the reason is printed already; no errno is as large */

COMAP_FIELDS(Elf64_Shdr, COMAP_FIELD(u32, sh_type), COMAP_FIELD(u32, sh_link),
             COMAP_FIELD(u64, sh_offset), COMAP_FIELD(u64, sh_size));
COMAP_FIELDS(Elf64_Sym, COMAP_FIELD(u32, st_name), COMAP_FIELD(u8, st_info),
             COMAP_FIELD(u16, st_shndx), COMAP_FIELD(u64, st_value), COMAP_FIELD(u64, st_size));

struct symbols {
	struct comap_records table;
	const char *strings;
	uint64_t strings_bytes;
};

static int open_sections(struct comap_map *map, struct comap_records *ret_sections)
{
	const Elf64_Ehdr *head = comap_map_at(map, 0, sizeof *head, _Alignof(Elf64_Ehdr));

	if (!head)
		return -1;
	if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_ident[EI_DATA] != ELFDATA2LSB || head->e_shentsize != sizeof(Elf64_Shdr))
		return fputs("elf-symbols: no little-endian ELF file of 64 bits\n", stderr), SAID;
	return comap_records_open(map, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr),
	                          COMAP_TYPE(Elf64_Shdr), 0, ret_sections);
}

/* The full table where the file has it, else the one for dynamic linking. */
static const Elf64_Shdr *find_table(const struct comap_records *sections)
{
	const Elf64_Shdr *found = NULL;

	for (uint64_t i = 0; i < comap_records_count(sections); i++) {
		const Elf64_Shdr *section = COMAP_RECORD(Elf64_Shdr, sections, i);

		if (section->sh_type == SHT_SYMTAB || (section->sh_type == SHT_DYNSYM && !found))
			found = section;
	}
	return found;
}

static int open_symbols(struct comap_map *map, struct symbols *ret_symbols)
{
	struct comap_records sections;
	const Elf64_Shdr *table, *strings;
	int code = open_sections(map, &sections);

	if (code)
		return code;
	table = find_table(&sections);
	if (!table)
		return fputs("elf-symbols: the file has no symbols\n", stderr), SAID;
	strings = COMAP_RECORD(Elf64_Shdr, &sections, table->sh_link);
	if (!strings)
		return -1;
	ret_symbols->strings = comap_map_at(map, strings->sh_offset, strings->sh_size, 1);
	ret_symbols->strings_bytes = strings->sh_size;
	if (!ret_symbols->strings)
		return -1;
	return comap_records_open(map, table->sh_offset, table->sh_size, COMAP_TYPE(Elf64_Sym), 0,
	                          &ret_symbols->table);
}

/* Names end with a NUL inside the strings, or they are none. */
static bool has_name(const struct symbols *symbols, const Elf64_Sym *symbol, const char *name)
{
	size_t bytes = strlen(name) + 1;

	return symbol->st_name < symbols->strings_bytes &&
	       bytes <= symbols->strings_bytes - symbol->st_name &&
	       memcmp(symbols->strings + symbol->st_name, name, bytes) == 0;
}

static bool print_symbol(const struct symbols *symbols, const char *name)
{
	bool found = false;

	for (uint64_t i = 0; i < comap_records_count(&symbols->table); i++) {
		const Elf64_Sym *symbol = COMAP_RECORD(Elf64_Sym, &symbols->table, i);

		if (symbol->st_shndx == SHN_UNDEF || !has_name(symbols, symbol, name))
			continue;
		printf("%016" PRIx64 " %" PRIu64 " %s\n", symbol->st_value, symbol->st_size, name);
		found = true;
	}
	return found;
}

int main(int argc, char **argv)
{
	struct symbols symbols;
	struct comap_map *map;
	int missing = 0, code;

	if (argc < 3)
		return fputs("usage: elf-symbols FILE NAME ...\n", stderr), 2;
	code = comap_map_open(argv[1], NULL, &map);
	if (code == 0)
		code = open_symbols(map, &symbols);
	for (int i = 2; code == 0 && i < argc; i++)
		missing += !print_symbol(&symbols, argv[i]);
	/* Had the file been cut meanwhile, some of it would have read as zeros. */
	if (code == 0)
		code = comap_map_status(map);
	if (code && code != SAID)
		fprintf(stderr, "elf-symbols: %s: %s\n", argv[1], comap_error_text());
	comap_map_close(code == 0 ? map : NULL);
	return code || missing;
}
