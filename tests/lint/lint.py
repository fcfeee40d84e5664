#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tree against its own rules. Each rule is a function that yields complaints; a run fails on any.

    lint.py SOURCE RULE        RULE: layers, edges, shape, paths, headers, links, or --list
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CODE = ("core", "ipc", "tools", "examples", "bench", "tests")


def files(source, *folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((source / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def numbered(path):
    return enumerate(path.read_text().splitlines(), 1)


# --- layers: includes go downwards, services never include one another, one caller of mmap -------

LAYERS = {  # the private headers of ipc, by floor; a header is included from its floor or above
    0: {"layout.h", "fault.h"},
    1: {"region.h", "create.h", "identity.h", "name.h", "futex.h"},
    2: {"seat.h", "thread.h", "rcu.h", "heap.h", "heap_page.h", "mutex.h", "host.h", "check.h",
        "registry.h", "object.h"},
    3: {"directory.h"},
}
SERVICES = {"value", "table", "topic", "queue", "lock"}
VM_CALLS = re.compile(r"(?<![\w>.])(mmap|munmap|mremap|mprotect|madvise|msync|mlock|mlock2|munlock)\(")


def layers(source):
    for path in files(source, "core"):
        for number, line in numbered(path):
            if re.match(r'#include [<"](comap\.h|comap/(rcu|region|seat|value|table|easy)\.h|layout\.h)', line):
                yield path, number, "core includes what lies above it"
    for path in files(source, "ipc"):
        stem = re.split(r"[_.]", path.name)[0]
        for number, line in numbered(path):
            match = re.match(r'#include [<"](?:comap/)?(\w+?)(?:_\w+)?\.h[>"]', line)
            if match and path.suffix == ".c" and stem in SERVICES and match[1] in SERVICES - {stem}:
                yield path, number, "a service includes another one: move what both need down"
            if match and stem not in SERVICES | {"comap", "easy", "check", "directory", "inspect"} \
                    and match[1] in SERVICES:
                yield path, number, "a lower floor includes a service"
    for path in files(source, "core", "ipc", "tools", "examples"):
        if path == source / "core/vm.c":
            continue
        for number, line in numbered(path):
            code = re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/|//.*', "", line).strip()
            if VM_CALLS.search(code) and not code.startswith(("*", "/*")) and path.parts[-2] in ("core", "ipc"):
                yield path, number, "only core/vm.c makes the kernel's map calls"


# --- edges: every ordered access names its edge, every edge has two ends and a row in the docs ----

TAG = re.compile(r"\[edge ([a-z_]+\.[a-z_]+)\]")
ORDERED = re.compile(r"comap_(?:u32|u64)_\w+_(?:acquire|release|acq_rel|seq_cst)\(|comap_fence_(?:acquire|release|full)\(")
RELAXED = re.compile(r"comap_(?:u32|u64)_\w+_relaxed\(")
REACH = 14  # lines: a comment speaks for the accesses that follow it closely


def edges(source):
    sites = {}
    for path in files(source, "core", "ipc"):
        if path.name == "word.h":
            continue
        lines = path.read_text().splitlines()
        for index, line in enumerate(lines):
            is_list = re.match(r"[ *]*Ordering:", line) or (index and re.match(r"[ *]*\[edge", line))
            for name in TAG.findall(line):
                if not is_list:
                    sites.setdefault(name, []).append((path, index + 1))
            window = "\n".join(lines[max(0, index - REACH):index + 2])
            if ORDERED.search(line) and not TAG.search(window):
                yield path, index + 1, "an ordered access without [edge ...]"
            if RELAXED.search(line) and not re.search(r"relaxed", window.replace("_relaxed(", ""), re.I):
                yield path, index + 1, "a relaxed access that does not say why no order is needed"
    documented = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)`", (source / "docs/memory-model.md").read_text(), re.M))
    for name, found in sorted(sites.items()):
        if len(found) < 2:
            yield found[0][0], found[0][1], f"[edge {name}] has one end only"
        if name not in documented:
            yield found[0][0], found[0][1], f"[edge {name}] is missing in docs/memory-model.md"
    for name in sorted(documented - set(sites)):
        yield source / "docs/memory-model.md", 0, f"`{name}` is nowhere in the code"


# --- shape: lines, functions, licences ------------------------------------------------------------

def shape(source):
    for path in files(source, *CODE):
        lines = path.read_text().splitlines()
        if not lines or "SPDX-License-Identifier: MIT" not in lines[0]:
            yield path, 1, "no SPDX line"
        if len(lines) > 700:
            yield path, 700, "longer than 700 lines: split it"
        start = None
        for number, line in enumerate(lines, 1):
            if len(line) > 110:
                yield path, number, "longer than 110 columns"
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start > 71:
                    yield path, start, "a function longer than 70 lines"
                start = None


# --- paths: nothing names the machine it was written on -------------------------------------------

def paths(source):
    if not shutil.which("git"):
        print("paths: no git here, so no list of what is committed")
        sys.exit(77)
    listed = subprocess.run(["git", "-C", source, "ls-files"], capture_output=True, text=True, check=False)
    for name in listed.stdout.splitlines():
        path = source / name
        if path.suffix in (".svg", ".png") or not path.is_file() or path.name == "lint.py":
            continue
        for number, line in numbered(path):
            if re.search(r"/home/\w+/|/work/\w+/|/root/\w+", line):
                yield path, number, "names a path of somebody's machine"


# --- headers: each public one compiles alone, as C11 and as C++ -----------------------------------

def headers(source):
    include = [f"-I{source}/core/include", f"-I{source}/ipc/include"]
    with tempfile.TemporaryDirectory() as folder:
        for path in files(source, "core/include", "ipc/include", suffixes=(".h",)):
            name = path.relative_to(path.parents[1] if path.parent.name == "comap" else path.parent)
            for suffix, command in ((".c", ["cc", "-std=c11", "-pedantic"]), (".cc", ["c++", "-std=c++11"])):
                unit = Path(folder) / ("unit" + suffix)
                unit.write_text(f"#include <{name}>\nint main(void) {{ return 0; }}\n")
                result = subprocess.run([*command, "-Wall", "-Wextra", "-Werror", *include, "-fsyntax-only", unit],
                                        capture_output=True, text=True, check=False)
                if result.returncode:
                    yield path, 0, f"does not compile alone as {suffix[1:]}: {result.stderr.splitlines()[0]}"


# --- links: relative links of the pages lead somewhere, and so do their anchors --------------------

def anchors(path):
    for line in path.read_text().splitlines():
        match = re.match(r"#+ (.*)", line)
        if match:
            yield re.sub(r"[^\w\- ]", "", match[1].strip().lower()).replace(" ", "-")


def links(source):
    pages = [source / "README.md", source / "HACKING.md", *sorted((source / "docs").rglob("*.md"))]
    for path in pages:
        code = False
        for number, line in numbered(path):
            code ^= line.startswith("```")
            for target in [] if code else re.findall(r"\]\(([^)\s]+)\)", line):
                name, _, anchor = target.partition("#")
                if re.match(r"[a-z]+:", target):
                    continue
                page = (path.parent / name) if name else path
                if not page.exists():
                    yield path, number, f"{name} is not there"
                elif anchor and page.suffix == ".md" and anchor not in anchors(page):
                    yield path, number, f"{name} has no heading #{anchor}"
            for named in [] if code else re.findall(r"`((?:tests|ipc|core|docs|examples|bench|tools)/[\w./-]+)`", line):
                if not (source / named).exists():
                    yield path, number, f"{named} is not there"


RULES = {rule.__name__: rule for rule in (layers, edges, shape, paths, headers, links)}


def main():
    if "--list" in sys.argv:
        print("\n".join(RULES))
        return 0
    source, rule = Path(sys.argv[1]).resolve(), RULES[sys.argv[2]]
    complaints = list(rule(source))
    for path, number, text in complaints:
        print(f"{path.relative_to(source)}:{number}: {text}")
    print(f"{sys.argv[2]}: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
