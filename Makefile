# The two commands that set up all they need: see README.md.
PYTHON ?= python3

.PHONY: demo demo-stop docs links test

# SOURCE and VERSION put another project live in place of the example: a Git URL, an archive or a folder.
demo:
	@$(PYTHON) dev/demo.py up $(if $(SOURCE),--source '$(SOURCE)') $(if $(VERSION),--version '$(VERSION)')

demo-stop:
	@$(PYTHON) dev/demo.py down

# docs/settings.md, and the documentation as a website, in .cache/site/html.
docs:
	@$(PYTHON) dev/website.py

# The same, and whether the pages elsewhere that it links to are there; skipped without a network.
links:
	@$(PYTHON) dev/website.py links

# STAGE runs one stage only: make test STAGE=unit
test:
	@$(PYTHON) dev/test.py $(STAGE)
