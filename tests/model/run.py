#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the spin models: each configuration must give what its model says it gives.

A model NAME.pml lists its configurations in its opening comment, one a line:

	run SUITE holds CONFIGURATION [-DNAME[=VALUE] ...]
	run SUITE fails CONFIGURATION [-DNAME[=VALUE] ...] : TEXT

SUITE is fast or long. `holds`: the whole state space was searched, no error. `fails`: spin found an
error whose description holds TEXT, and wrote a trail; the same way wrong, not just wrong.

A statement whose line ends with the comment `reach` must be reached by a configuration that holds
and was run to its end: a model that never gets to the point proves nothing.

	run.py [--suite fast|long|all] [--seconds N] [--only CONFIGURATION] [--table] MODEL.pml ...

Exit status: 0 all as said; 1 not; 77 spin is not installed, or the time ran out before the end
(those not finished are named, and nothing wrong was found in the others).
"""
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

RUN_LINE = re.compile(r'^ \* run (fast|long) (holds|fails) ([\w-]+)\s*([^:]*?)\s*(?::\s*(.*?))?\s*$')
REACH = re.compile(r'/\* reach \*/\s*$')
UNFINISHED = 77


class Configuration:
	def __init__(self, model, match):
		self.model = model
		self.suite, self.verdict, self.name, self.defines, self.text = match.groups()
		if (self.verdict == 'fails') != (self.text is not None):
			raise ValueError(f'{model}: {self.name}: `fails` names its text, `holds` has none')


def configurations(model):
	found = []
	with open(model, encoding='utf-8') as lines:
		for line in lines:
			match = RUN_LINE.match(line)
			if match:
				found.append(Configuration(model, match))
			elif line.startswith(' * run '):
				raise ValueError(f'{model}: not understood: {line.strip()}')
	if not found:
		raise ValueError(f'{model}: no configurations')
	return found


def marked_lines(model):
	with open(model, encoding='utf-8') as lines:
		return {number for number, line in enumerate(lines, 1) if REACH.search(line)}


def compile_model(configuration, folder):
	model = os.path.abspath(configuration.model)
	spin = subprocess.run(['spin', '-a', *shlex.split(configuration.defines), model],
		cwd=folder, capture_output=True, text=True, check=False)
	if spin.returncode != 0 or 'Error' in spin.stdout:
		raise RuntimeError(f'spin: {spin.stdout}{spin.stderr}')
	# A short run is over before an optimizer would have paid.
	level = ['-O0'] if configuration.suite == 'fast' else ['-O2', '-DCOLLAPSE']
	subprocess.run(['gcc', *level, '-w', '-DSAFETY', '-DMEMLIM=8000', '-o', 'pan', 'pan.c'],
		cwd=folder, check=True)


def lines_of(pattern, text):
	return {int(number) for number in re.findall(pattern, text)}


class Outcome:
	"""What spin said of one configuration."""

	def __init__(self, configuration, output, folder, seconds):
		self.configuration = configuration
		self.seconds = seconds
		states = re.search(r'(\d+) states, stored', output)
		self.states = int(states.group(1)) if states else 0
		self.error = self.find_error(output)
		self.trail = any(name.endswith('.trail') for name in os.listdir(folder))
		self.whole = 'errors: 0' in output and 'max search depth too small' not in output \
			and 'Search not completed' not in output and 'out of memory' not in output
		self.output = output
		self.reached = set()

	@staticmethod
	def find_error(output):
		error = re.search(r'^pan:\d+: (.*?)(?: \(at depth \d+\))?$', output, re.MULTILINE)
		return error.group(1) if error else None

	def as_said(self):
		if self.configuration.verdict == 'holds':
			return self.whole and self.error is None and not self.trail
		return self.error is not None and self.configuration.text in self.error and self.trail


def run(configuration, seconds):
	"""Returns the Outcome, or None where the time ran out."""
	with tempfile.TemporaryDirectory(prefix='comap-model-') as folder:
		compile_model(configuration, folder)
		began = time.monotonic()
		hash_bits = '-w20' if configuration.suite == 'fast' else '-w26'
		try:
			pan = subprocess.run(['./pan', '-m2000000', hash_bits], cwd=folder, check=False,
				capture_output=True, text=True, timeout=seconds)
		except subprocess.TimeoutExpired:
			return None
		outcome = Outcome(configuration, pan.stdout + pan.stderr, folder,
			time.monotonic() - began)
		if outcome.whole:
			machine = subprocess.run(['./pan', '-d', '-d'], cwd=folder, check=False,
				capture_output=True, text=True).stdout
			name = re.escape(os.path.basename(configuration.model))
			outcome.reached = lines_of(name + r':(\d+)', machine) - \
				lines_of(name + r':(\d+), state', pan.stdout)
		return outcome


def describe(outcome, table):
	configuration = outcome.configuration
	model = os.path.splitext(os.path.basename(configuration.model))[0]
	found = outcome.error or ('no error' if outcome.whole else 'search not completed')
	if table:
		result = 'holds' if configuration.verdict == 'holds' else f'fails: `{found}`'
		flags = f'`{configuration.defines}`' if configuration.defines else ''
		print(f'| {model} | {configuration.name} | {flags} | {outcome.states:,} | {result} |')
	else:
		mark = 'ok' if outcome.as_said() else 'NOT OK'
		print(f'{mark:6} {model:8} {configuration.verdict} {configuration.name:28} '
			f'{outcome.states:>11,} states {outcome.seconds:6.1f} s  {found}')
	sys.stdout.flush()


def options():
	parser = argparse.ArgumentParser(description='runs the spin models')
	parser.add_argument('--suite', choices=['fast', 'long', 'all'], default='fast')
	parser.add_argument('--seconds', type=float, help='stop after so many seconds')
	parser.add_argument('--only', help='the one configuration of this name')
	parser.add_argument('--table', action='store_true', help='rows for docs/models.md')
	parser.add_argument('models', nargs='+', metavar='MODEL.pml')
	return parser.parse_args()


def wanted(configuration, chosen):
	return chosen.suite in (configuration.suite, 'all') and \
		chosen.only in (None, configuration.name)


def run_model(model, chosen, deadline):
	"""Returns (wrong, unfinished) configuration names."""
	wrong, unfinished, reached = [], [], set()
	for configuration in configurations(model):
		if not wanted(configuration, chosen):
			continue
		left = None if deadline is None else deadline - time.monotonic()
		outcome = run(configuration, left) if left is None or left > 0 else None
		if outcome is None:
			unfinished.append(configuration.name)
			print(f'cut    {model}: {configuration.name}: not finished in the time given')
			continue
		describe(outcome, chosen.table)
		reached |= outcome.reached
		if not outcome.as_said():
			wrong.append(configuration.name)
			print(outcome.output)
	if chosen.suite != 'long' and chosen.only is None and not unfinished:
		for line in sorted(marked_lines(model) - reached):
			wrong.append(f'line {line}')
			print(f'NOT OK {model}:{line}: no configuration that holds gets here')
	return wrong, unfinished


def main():
	chosen = options()
	if not shutil.which('spin') or not shutil.which('gcc'):
		print('spin or gcc is not installed: nothing was checked')
		return UNFINISHED
	deadline = None if chosen.seconds is None else time.monotonic() + chosen.seconds
	wrong, unfinished = [], []
	for model in chosen.models:
		model_wrong, model_unfinished = run_model(model, chosen, deadline)
		wrong += model_wrong
		unfinished += model_unfinished
	if wrong:
		return 1
	return UNFINISHED if unfinished else 0


if __name__ == '__main__':
	sys.exit(main())
