# `make demo` shows the agent at work; `make test` passes every check. Both install what they need.
# CONTRIBUTING.md lists the targets.
# As root, `make install` puts the agent on this box as a service; docs/install.md.
PYTHON ?= python3
VENV ?= .venv
AGENT_VENV ?= .venv-agent
TOOLS_VENV ?= .venv-tools
SITE_VENV ?= .venv-site
SPEED ?= 10
STAMP = .installed
BROWSER = tests/web_browser/node_modules/.package-lock.json

.PHONY: demo test check lint types imports words unit unit-service unit-commands unit-agent unit-page unit-trainer coverage agent-alone instructions docs packages release bundles clean

demo: $(AGENT_VENV)/$(STAMP)
	$(AGENT_VENV)/bin/asd-agent demo --speed $(SPEED)

test: system $(VENV)/$(STAMP) check unit agent-alone

check: lint types imports words

lint: $(VENV)/$(STAMP)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/python scripts/check-containerfile

types: $(VENV)/$(STAMP)
	$(VENV)/bin/mypy

imports: $(VENV)/$(STAMP)
	$(VENV)/bin/lint-imports

# Words of docs/glossary.md in code, messages and pages.
words: $(VENV)/$(STAMP)
	$(VENV)/bin/python scripts/check-words

# All parts at a time: the two that wait for sound and brokers leave both cores to torch and to the rest.
unit: $(VENV)/$(STAMP) $(BROWSER)
	$(MAKE) -j4 unit-service unit-commands unit-agent unit-trainer
	$(MAKE) coverage

# Playwright and axe, which use the page in Chromium as people do.
$(BROWSER): tests/web_browser/package-lock.json
	cd tests/web_browser && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

unit-page: $(VENV)/$(STAMP) $(BROWSER)
	$(VENV)/bin/pytest tests/agent/gateway tests/agent/web

PYTEST_PART = $(VENV)/bin/pytest --cov --cov-report= --cov-fail-under=0

# The running service and its microphones.
SERVICE = audio service
unit-service: $(VENV)/$(STAMP)
	COVERAGE_FILE=.coverage.service $(PYTEST_PART) $(SERVICE:%=tests/agent/%)

# Commands beside a service, its evidence, and the page.
COMMANDS = commands demo doctor evidence web
unit-commands: $(VENV)/$(STAMP) $(BROWSER)
	COVERAGE_FILE=.coverage.commands $(PYTEST_PART) $(COMMANDS:%=tests/agent/%)

unit-agent: $(VENV)/$(STAMP)
	COVERAGE_FILE=.coverage.agent $(PYTEST_PART) $(patsubst %,--ignore=tests/agent/%,$(SERVICE) $(COMMANDS)) tests/agent

unit-trainer: $(VENV)/$(STAMP)
	COVERAGE_FILE=.coverage.trainer OMP_NUM_THREADS=1 $(PYTEST_PART) tests/trainer tests/systemd tests/scripts

# Lines that the tests of all parts ran in their own processes; fails below the share in pyproject.toml.
coverage: $(VENV)/$(STAMP)
	$(VENV)/bin/coverage combine -q .coverage.service .coverage.commands .coverage.agent .coverage.trainer
	$(VENV)/bin/coverage report >.coverage.txt; status=$$?; tail -n 25 .coverage.txt; exit $$status

agent-alone: $(AGENT_VENV)/$(STAMP)
	scripts/agent-alone $(AGENT_VENV)

# Instructions of log-mels and indicators, which no other work on the machine changes; skipped without valgrind.
instructions: $(VENV)/$(STAMP)
	$(VENV)/bin/python benchmarks/instructions.py --check

# Pages: links and commands exist, words are those of docs/glossary.md.
docs: $(VENV)/$(STAMP)
	$(VENV)/bin/pytest tests/scripts/test_docs.py
	$(VENV)/bin/python scripts/check-words

# The documentation site in site/, every warning an error; the build itself needs no network.
.PHONY: site
site: $(SITE_VENV)/$(STAMP)
	PYTHONPATH=agent:trainer NO_MKDOCS_2_WARNING=1 $(SITE_VENV)/bin/mkdocs build --strict -q

# The commands describe themselves, so the packages' own needs are there beside the site's tools.
$(SITE_VENV)/$(STAMP): locks/site.txt locks/dev.txt
	scripts/make-venv $(PYTHON) $(SITE_VENV)
	scripts/install-locked $(SITE_VENV) site dev
	touch $@

packages: $(VENV)/$(STAMP) $(TOOLS_VENV)/$(STAMP)
	scripts/build-packages $(PYTHON) $(VENV)
	scripts/build-deb $(VENV)
	scripts/write-sbom $(PYTHON) $(TOOLS_VENV) dist
	cd dist && sha256sum -- *.whl *.tar.gz *.deb *.json >SHA256SUMS && cat SHA256SUMS

# Debian's own checks of its packages; an error fails, a warning is shown.
.PHONY: lintian
lintian:
	lintian --fail-on error dist/*.deb

release: sign
	scripts/release

# SIGNING_KEY holds the private key.
.PHONY: sign
sign:
	scripts/sign-packages

# Locks again: `make lock`, `make lock UPGRADE=--upgrade`, `make lock UPGRADE='--upgrade-package torch'`.
.PHONY: lock
lock: $(TOOLS_VENV)/$(STAMP)
	PATH="$(abspath $(TOOLS_VENV))/bin:$$PATH" python scripts/write_locks.py $(UPGRADE)

# For a box without the internet: PY and MACHINE are those of the box.
.PHONY: wheels
wheels: $(TOOLS_VENV)/$(STAMP)
	scripts/collect-wheels wheels agent cpu metrics calibrate web notify $(if $(PY),--python $(PY)) $(if $(MACHINE),--machine $(MACHINE))
	scripts/build-wheel $(TOOLS_VENV) wheels

$(TOOLS_VENV)/$(STAMP): locks/tools.txt
	scripts/make-venv $(PYTHON) $(TOOLS_VENV)
	scripts/install-locked $(TOOLS_VENV) tools
	touch $@

.PHONY: system
system:
	scripts/install-system-packages

# The agent as it is on a box: no torch, no scikit-learn, no PortAudio.
$(AGENT_VENV)/$(STAMP): pyproject.toml $(wildcard locks/*.txt) $(shell find agent exported_models -type f -not -path '*/__pycache__/*')
	scripts/make-venv $(PYTHON) $(AGENT_VENV)
	scripts/install-locked $(AGENT_VENV) agent cpu demo
	$(AGENT_VENV)/bin/pip install -q --no-deps --force-reinstall $$(scripts/build-wheel $(AGENT_VENV) build/wheel)
	touch $@

$(VENV)/$(STAMP): pyproject.toml $(wildcard locks/*.txt)
	scripts/make-venv $(PYTHON) $(VENV)
	scripts/install-locked $(VENV) dev build
	$(VENV)/bin/pip install -q --no-deps --no-build-isolation -e .
	$(VENV)/bin/pip check
	touch $@

# scripts/install-agent says what PREFIX, PYTHON, RUNTIME, EXTRAS, FROM and PURGE mean.
.PHONY: install upgrade rollback uninstall
install upgrade rollback uninstall:
	@PREFIX='$(PREFIX)' PYTHON='$(PYTHON)' RUNTIME='$(RUNTIME)' PURGE='$(PURGE)' FROM='$(FROM)' \
		$(if $(filter undefined,$(origin EXTRAS)),,EXTRAS='$(EXTRAS)') scripts/install-agent $@

clean:
	rm -rf $(VENV) $(AGENT_VENV) build dist
