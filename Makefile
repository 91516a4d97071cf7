# `make quickstart` and `make test` need nothing but Python >= 3.10 and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORK_DIR := work_dirs/quickstart
CONFIG := configs/quickstart/faster-rcnn_r18_fpn_shapes.py

.PHONY: help install quickstart test lint suite test-long format clean

help:
	@echo "make quickstart  install, train on embedded data, test, infer (a few minutes)"
	@echo "make test        install, then lint, type-check and run the test suite"
	@echo "make suite       the test suite alone; on another Python with PYTHON=python3.10 VENV=.venv310"
	@echo "make test-long   the checks that train for minutes"
	@echo "make format      format the code"

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/toolkit-train $(CONFIG) --work-dir $(WORK_DIR)
	$(BIN)/toolkit-test $(CONFIG) $(WORK_DIR)
	$(BIN)/python tools/export_shapes.py $(WORK_DIR)/images --count 12
	$(BIN)/toolkit-infer $(CONFIG) $(WORK_DIR) $(WORK_DIR)/images --out-dir $(WORK_DIR)/predictions --score-thr 0.5
	@echo
	@echo "Pictures with predictions: $(WORK_DIR)/predictions/vis"
	@echo "Test it again:    $(BIN)/toolkit-test $(CONFIG) $(WORK_DIR)"
	@echo "Infer yourself:   $(BIN)/toolkit-infer $(WORK_DIR) IMAGES_OR_FOLDER --out-dir outputs"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint suite

# Each worker computes on one thread: two workers on two cores, not four threads.
suite: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not long and not gpu"

test-long: $(STAMP)
	$(BIN)/python -m pytest -m long

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info
