# Needs Python 3.10+ and make; `make test` also a Docker engine and Chromium, or root on Debian, where it installs them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Those of `make test-pythons`; a name of pyenv's may stand for nothing.
PYTHONS ?= $(shell for each in python3.10 python3.11 python3.12 python3.13 python3.14; do $$each -c '' 2>/dev/null && echo $$each; done; :)

.PHONY: help demo test test-fast fuzz test-live test-versions test-checkout test-notebook test-pythons test-floor check docs dist bench drills clean

help:
	@echo "make demo       a Dask cluster on this machine's own queue, from nothing"
	@echo "make test       all tests on the newest dependencies: test-checkout, test-notebook and test-live"
	@echo "make test-fast  the tests that need neither containers nor a browser"
	@echo "make fuzz       hostile keywords and replies, for longer than the fast tests: SEED=7 ROUNDS=200"
	@echo "make test-live  those on batch systems in containers: an old and a new SLURM, Grid Engine, HTCondor and OAR"
	@echo "make test-versions  the live tests on the SLURMs of Debian 12, 13 and unstable, whose Python and OpenSSL are the newest"
	@echo "make test-checkout  make demo and make test-fast as on a fresh Debian 13, in a container"
	@echo "make test-notebook  those of the widget in JupyterLab, in Chromium, which it installs as root on Debian"
	@echo "make drills     the failure drills on all of them, with what each found"
	@echo "make test-pythons  make test-fast on each Python from 3.10 to 3.14 that is here, or on PYTHONS='python3.10 ...'"
	@echo "make test-floor make test-fast with the oldest version of each dependency that setup.cfg allows"
	@echo "make check      style, types, and that the documentation can be built"
	@echo "make docs       the documentation, into docs/_build: pages, a single page, and a zip to take along"
	@echo "make dist       wheel and sdist, into dist/; checked, and tried in an environment of their own"
	@echo "make bench      scaling in simulation beside Dask's; the start of jobs and of clusters, and many jobs, side by side with dask-jobqueue"
	@echo "make clean      take away what the others made, the containers included"

# The stamp names what is installed: an interrupted install has none, and is done again.
$(VENV)/.installed-%: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "jobclusters needs Python 3.10 or newer; say which with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	    { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[$*]'
	@touch $@

demo: $(VENV)/.installed-notebook
	@$(BIN)/jobclusters demo

test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -m "not live and not browser" -n 3 --dist loadfile $(ARGS)

# The same as in test-fast, from any seed, and as many rounds of each case; a failure names what came of which round.
SEED ?= $(shell date +%s)
ROUNDS ?= 100
fuzz: $(VENV)/.installed-test
	@echo "SEED=$(SEED) ROUNDS=$(ROUNDS)"
	JOBCLUSTERS_FUZZ_SEED=$(SEED) JOBCLUSTERS_FUZZ_ROUNDS=$(ROUNDS) \
	    $(BIN)/python -m pytest -q -n 2 --timeout=3600 tests/fuzz $(ARGS)
	JOBCLUSTERS_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -n 2 --hypothesis-seed=$(SEED) -m hypothesis tests $(ARGS)

# Each has an environment of its own. ARGS='tests/spec/test_units.py' runs some of the tests.
test-pythons:
	@test -n "$(PYTHONS)" || { echo "no Python from 3.10 to 3.14 is on the PATH: name some, PYTHONS='/opt/python3.12 ...'" >&2; exit 1; }
	@failed=; for python in $(PYTHONS); do \
	    version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1; \
	    echo "Python $$version:"; \
	    $(MAKE) --no-print-directory test-fast PYTHON=$$python VENV=$(VENV)-$$version || failed="$$failed $$version"; \
	done; test -z "$$failed" || { echo "failed on Python$$failed" >&2; exit 1; }

# The oldest Python there is, and in the environment nothing newer than need be.
test-floor: OLDEST = $(firstword $(PYTHONS) $(PYTHON))
test-floor:
	@$(OLDEST) -c 'import sys; sys.exit(sys.version_info >= (3, 12))' || \
	    { echo "the oldest dependencies need Python 3.10 or 3.11: name one, PYTHONS=/opt/python3.11/bin/python3" >&2; exit 1; }
	@mkdir -p build && $(PYTHON) ci/floor-constraints >build/floor.txt
	@PIP_CONSTRAINT=$(CURDIR)/build/floor.txt $(MAKE) --no-print-directory test-fast PYTHON=$(OLDEST) VENV=$(VENV)-floor

test-notebook: $(VENV)/.installed-notebook-test
	ci/ensure-chromium
	$(BIN)/python -m pytest -q tests/browser

test-live:
	ci/live-tests

# Unstable moves: it is no part of make test.
test-versions:
	JOBCLUSTERS_LIVE=slurm,slurm@trixie,slurm@sid ci/live-tests

test-checkout:
	ci/try-checkout demo test-fast $(if $(ARGS),ARGS='$(ARGS)')

test:
	MAKE=$(MAKE) ci/all-tests test-checkout+test-notebook+test-live

drills:
	ci/live-tests -k drill

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory docs

# -E: what an earlier build has read isn't read again otherwise, and so gives no warnings.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html docs docs/_build/html
	$(BIN)/python -m sphinx -q -E -W --keep-going -b singlehtml -d docs/_build/single docs docs/_build/singlehtml
	@$(BIN)/python -c 'import shutil; shutil.make_archive("docs/_build/jobclusters-docs", "zip", "docs/_build", "html")'
	@echo "docs/_build/html/index.html"
	@echo "docs/_build/singlehtml/index.html: all pages in one"
	@echo "docs/_build/jobclusters-docs.zip: to take along"

dist: $(VENV)/.installed-dist $(VENV)/.installed-test
	rm -rf build dist
	$(BIN)/python -m build --outdir dist . >dist.log 2>&1 || { cat dist.log >&2; exit 1; }
	@rm dist.log
	$(BIN)/python -m twine check --strict dist/*
	JOBCLUSTERS_DIST=dist $(BIN)/python -m pytest -q tests/test_packaging.py
	ci/try-wheel dist/*.whl $(BIN)/python

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/scaling.py --million
	$(BIN)/python benchmarks/decisions.py
	$(BIN)/python -m benchmarks.thousands
	$(BIN)/python -m benchmarks.answers
	$(BIN)/python benchmarks/deaths.py
	$(BIN)/python benchmarks/starts.py
	$(BIN)/python benchmarks/first_cluster.py
	$(BIN)/python benchmarks/security.py
	ci/slurm-docker/up
	ci/slurm-docker/run -- python benchmarks/jobs.py

clean:
	ci/slurm-docker/down
	ci/sge-docker/down
	ci/htcondor-docker/down
	ci/oar-docker/down
	rm -rf $(VENV) $(VENV)-3.* $(VENV)-floor build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
