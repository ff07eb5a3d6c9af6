# `make demo`: hear it. `make test`: everything the tests need, and the tests.
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help demo test check bench fuzz soak bench-training clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(STAMP)-runtime ## install what playing needs, and hear a first duet
	$(BIN)/improv demo

test: $(STAMP)-everything ## install what the tests need, and run them
	@.ci/system
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not jack and not alone"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "jack or alone"

check: $(STAMP)-everything ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

bench: $(STAMP)-everything ## print every figure this machine gives
	@.ci/system
	$(BIN)/python -m tests.bench

fuzz: $(STAMP)-everything ## try a million odd messages, files, settings, weights and logs (about an hour)
	$(BIN)/python -m tests.fuzz

soak: $(STAMP)-everything ## play, trade and be killed for half an hour: nothing drifts, grows or stays sounding
	@.ci/system
	$(BIN)/python -m tests.soak

bench-training: $(STAMP)-everything ## print how fast training is, beside the machine's matrix products
	$(BIN)/python -m tests.bench_training

clean: ## remove what was built
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache duet.*

.venv/bin/python:
	@python=$$(.ci/python) && $$python -m venv .venv && $(BIN)/pip install --quiet --upgrade pip

$(STAMP)-runtime: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(STAMP)-everything: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable ".[train,dev,link]"
	@touch $@ $(STAMP)-runtime
