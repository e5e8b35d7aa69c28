XTASK = $(MAKE) --silent prerequisites && cargo run --quiet --target-dir target/xtask --package xtask --
RUST_NEEDED := 95

.DEFAULT_GOAL := help
.PHONY: prerequisites help up down reset rotate-signing-key rebuild-analytics stop-service start-service logs mail \
	status test test-resilience soak cost lint deny advisories unit e2e tools

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Build, deploy and start everything on this machine
	@$(XTASK) up

down: ## Stop it; the data stays
	@$(XTASK) down

reset: ## Stop it and forget the data
	@$(XTASK) reset

rotate-signing-key: ## Let a new key sign the access tokens, without signing anyone out
	@$(XTASK) rotate-signing-key

rebuild-analytics: ## Make analytics' read model anew from the log of events, while the old one answers
	@$(XTASK) rebuild-analytics

stop-service: ## Let no function of a service run: make stop-service SERVICE=auth
	@$(XTASK) stop-service $(SERVICE) $(if $(STACK),--stack $(STACK))

start-service: ## Let them run again: make start-service SERVICE=auth
	@$(XTASK) start-service $(SERVICE) $(if $(STACK),--stack $(STACK))

logs: ## Follow the functions' logs: make logs SERVICE=orders
	@$(XTASK) logs $(SERVICE)

mail: ## Show the e-mails and SMS that were sent: make mail TO=anna@example.com
	@$(XTASK) mail $(TO)

status: ## Say what is running, and how it is
	@$(XTASK) status

test: lint deny unit e2e ## Run every check and test, on a stack of its own

test-resilience: ## Stop each service of the running stack in turn, and see the others go on
	@$(XTASK) against-stack cargo run --quiet --package e2e --bin test-resilience

soak: tools ## Ten minutes of customers and faults on a stack of its own, then a check that nothing is lost or doubled
	@$(XTASK) with-stack cargo run --quiet --package e2e --bin soak -- $(or $(MINUTES),10)

cost: ## Count what a question to analytics reads of a thousand, a hundred thousand and a million payments
	cargo test --package analytics --test analytics cost:: -- --include-ignored --nocapture

lint: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@$(XTASK) tool sam validate --lint --template-file template.yaml
	@$(XTASK) tool cfn-lint infra/*.yaml

deny:
	@$(XTASK) deny licenses bans sources

advisories: ## Look the dependencies up in the RustSec database, which needs the network
	@$(XTASK) deny advisories

unit:
	cargo test --workspace --exclude e2e --lib --test '*'
	cargo test --package e2e --test saga

e2e: tools
	@$(XTASK) with-stack cargo test --package e2e --no-fail-fast --test purchase --test access --test crash --test permissions --test degradation \
		--test integrity --test notifications --test secrets

tools:
	@$(XTASK) tools

prerequisites:
	@command -v cargo >/dev/null || { echo "Rust is needed and not on the PATH: see https://rustup.rs"; exit 1; }
	@minor=$$(cargo --version | cut -d. -f2); [ "$$minor" -ge $(RUST_NEEDED) ] \
		|| { echo "Rust 1.$(RUST_NEEDED) or newer is needed: rustup update"; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null \
		|| { echo "A C compiler is needed and not on the PATH. On Debian and Ubuntu: apt install build-essential"; exit 1; }
	@[ -x target/xtask/debug/xtask ] || echo "▸ Building the commands themselves"
