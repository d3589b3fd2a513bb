# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists what there is. Everything is made below build/ and .venv/, and nothing outside the tree but packages.

MAKEFLAGS += --no-print-directory
python := .venv/bin/python
# Files stay together on one worker, so that what a file's tests share is made once.
pytest := $(python) -m pytest -q -n 2 --dist loadfile

.PHONY: help setup distro demo test check test-faults test-boot rpm bench corpus fuzz clean-room test-trixie container clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## install what is missing and make .venv; quick when nothing is to be done
	@scripts/setup

distro: setup ## make the embedded distributions in build/distro
ifneq ($(shell command -v apt-get),)
	@$(python) -m tests.distro
endif # Fedora has RPMs of its own

demo: distro ## compose Granite 12 (on Fedora: Fedora) into build/demo/repo and show it
	@scripts/demo

check: setup ## lint, types, architecture, unit tests: under a minute
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	$(pytest) tests/unit tests/test_architecture.py

test: setup distro check ## all tests
	$(pytest) --ignore=tests/unit --ignore=tests/test_architecture.py --ignore=tests/boot

test-faults: setup ## 200 kills, 200 signals, 100 calls in parallel, full disks: minutes
	STRATA_KILLS=210 STRATA_PARALLEL=100 STRATA_SIGNALS=100 STRATA_FULL=12 \
	$(python) -m pytest -q -n 2 --dist load -rP tests/faults

test-boot: setup distro ## boot what is composed in QEMU, and live through upgrades: half an hour without KVM
	@scripts/setup --boot
	@rm -f build/boot-times.txt
	STRATA_BOOT_TIMES=build/boot-times.txt $(python) -m pytest -q -rs tests/boot
	@cat build/boot-times.txt

rpm: setup ## build RPMs of this tree into build/rpms, with this machine's Python
	@rm -rf build/rpms
	@scripts/rpm build/rpms
	@ls build/rpms

bench: distro ## measure against dnf and ostree; figures go to build/bench*.json
	$(python) -m benchmarks.compose
	$(python) -m benchmarks.solve
	$(python) -m benchmarks.layer

corpus: setup ## read the treefiles and kickstart files of others, if they are here; tables go to build/*corpus.txt
	@mkdir -p build
	@$(python) -m tests.corpus --output build/corpus.txt
	@$(python) -m tests.kickstart_corpus --output build/kickstart-corpus.txt

fuzz: setup ## more inputs for the parsers of treefiles and their like; runs add up in build/fuzz
	@$(python) -c 'import atheris' 2>/dev/null || $(python) -m pip install --quiet atheris
	@$(python) -m tests.fuzz all

clean-room: ## setup, demo and test on a fresh clone in a clean Debian root, with their times
	scripts/clean-room

test-trixie: ## setup and test in a Debian 13 root: newer libostree, rpm, dnf and Python
	STRATA_SUITE=trixie STRATA_CLEAN_ROOM=$(CURDIR)/build/trixie scripts/clean-room setup test

container: ## build the container image on a Debian base and run compose in it
	scripts/container

clean: ## remove build/ and caches; .venv stays
	rm -rf --one-file-system build .mypy_cache .ruff_cache .pytest_cache .hypothesis
