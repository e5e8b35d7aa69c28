XTASK = MAKEFLAGS= $(MAKE) --silent prerequisites && cargo run --quiet --target-dir target/xtask --package xtask --
RUST_NEEDED := 95
SUITE = cargo test --package e2e --no-fail-fast --test purchase --test access --test identity --test key_rotation --test crash \
	--test queues \
	--test permissions --test degradation --test integrity --test notifications --test samples $(SUITE_OPTIONS)
# What reads the logs of all that the suite has done.
AFTERWARDS = cargo test --package e2e --no-fail-fast --test refusals --test secrets
E2E = sh -c '$(SUITE); suite=$$?; $(AFTERWARDS) && exit $$suite'

.DEFAULT_GOAL := help
.PHONY: prerequisites help up build checked down reset rotate-signing-key retire-signing-key rebuild-analytics stop-service start-service republish \
	deploy-service build-arm64 deploy operator invoke sample watch sam-local logs mail status test test-resilience soak timing cost \
	lint observability deny advisories unit e2e contract localstack openapi tools test-tools

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Build, deploy and start everything on this machine
	@$(XTASK) up

build: ## Build the functions, and start nothing
	@$(XTASK) build

down: ## Stop it; the data stays
	@$(XTASK) down

reset: ## Stop it and forget the data
	@$(XTASK) reset

rotate-signing-key: ## Let a new key sign the access tokens, without signing anyone out
	@$(XTASK) rotate-signing-key

retire-signing-key: ## Let no token be good of the key that signed before: after a rotation, when that key has leaked
	@$(XTASK) retire-signing-key

rebuild-analytics: ## Make analytics' read model anew from the log of events, while the old one answers
	@$(XTASK) rebuild-analytics

stop-service: ## Let no function of a service run: make stop-service SERVICE=auth
	@$(XTASK) stop-service $(SERVICE) $(if $(STACK),--stack $(STACK))

start-service: ## Let them run again: make start-service SERVICE=auth
	@$(XTASK) start-service $(SERVICE) $(if $(STACK),--stack $(STACK))

republish: ## Put what a service has published on the bus again: make republish SERVICE=orders SINCE=2026-01-15T10:30:45Z
	@$(XTASK) republish $(SERVICE) $(SINCE) $(if $(STACK),--stack $(STACK))

deploy-service: ## Ship one service's functions alone: make deploy-service SERVICE=orders; on AWS also STACK=quayside-prod
	@$(XTASK) deploy-service $(SERVICE) $(if $(STACK),--stack $(STACK))

build-arm64: ## Build the functions for AWS, on any machine, and check that Lambda can run them
	@$(XTASK) build-arm64

deploy: ## Build for AWS and deploy an environment of samconfig.toml: make deploy ENVIRONMENT=dev
	@$(XTASK) deploy $(ENVIRONMENT) $(if $(ATTEMPT),--attempt $(ATTEMPT))

operator: ## Run the operator's commands on AWS: make operator ARGUMENTS="api-keys --stack quayside-prod"
	@$(XTASK) operator $(ARGUMENTS)

invoke: ## Invoke a function of the running stack with its sample event: make invoke FN=orders-create
	@$(XTASK) invoke $(FN)

sample: ## Print that event, about what there is on the running stack: make sample FN=orders-create
	@$(XTASK) sample $(FN)

watch: ## Run the functions as they are in the source, anew whenever a file is saved, on the running stack's data
	@$(XTASK) watch

sam-local: ## Run the built functions in AWS's own containers (Docker), on the running stack's data
	@$(XTASK) sam-local

logs: ## Follow the functions' logs: make logs SERVICE=orders
	@$(XTASK) logs $(SERVICE)

mail: ## Show the e-mails and SMS that were sent: make mail TO=anna@example.com
	@$(XTASK) mail $(TO)

status: ## Say what is running, and how it is
	@$(XTASK) status

test: test-tools tools ## Run every check and test, on stacks of their own
	@$(MAKE) --no-print-directory --jobs=2 checked build
	@$(MAKE) --no-print-directory e2e contract

# Beside the build of the functions, which keeps one core busy for most of its time.
checked:
	@$(MAKE) --no-print-directory --jobs=1 lint deny unit

test-resilience: ## Stop each service of the running stack in turn, and see the others go on
	@$(XTASK) against-stack cargo run --quiet --package e2e --bin test-resilience

soak: tools ## Ten minutes of customers and faults on a stack of its own, then a check that nothing is lost or doubled
	@$(XTASK) with-stack cargo run --quiet --package e2e --bin soak -- $(or $(MINUTES),10)

timing: ## Measure that a refused sign-in takes as long whatever was wrong, which takes a quiet machine
	cargo test --release --package auth --test work -- --ignored --nocapture

cost: ## Count what a question to analytics reads of a thousand, a hundred thousand and a million payments
	cargo test --package analytics --test analytics cost:: -- --include-ignored --nocapture

lint: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@$(XTASK) tool sam validate --lint --template-file template.yaml
	@$(XTASK) tool cfn-lint infra/*.yaml infra/observability/*.yaml
	@$(XTASK) tool python infra/observability.py --check
	@$(XTASK) tool python infra/check.py

observability: tools ## Write the log groups, alarms and dashboards anew: after a function, a queue or a timeout has changed
	@$(XTASK) tool python infra/observability.py

deny:
	@$(XTASK) deny licenses bans sources

advisories: ## Look the dependencies up in the RustSec database, which needs the network
	@$(XTASK) deny advisories

unit:
	cargo test --workspace --exclude e2e --lib --bin xtask --bin quayside-operator --test '*'
	cargo test --package e2e --lib --test saga --test template
	@$(XTASK) tool python -m unittest discover --quiet localstack

e2e: tools
	@$(XTASK) with-stack $(E2E)

localstack: SUITE_OPTIONS = -- --test-threads=2
localstack: tools ## Deploy to LocalStack in Docker, run the end-to-end suite there, and remove it again
	@$(XTASK) with-localstack $(E2E)

openapi: ## Write docs/openapi.json anew from what the handlers say
	cargo run --quiet --package openapi

contract: tools test-tools ## Hold the API against docs/openapi.json with Schemathesis, on a stack of its own
	@$(XTASK) with-stack cargo test --package e2e --test contract

tools:
	@$(XTASK) tools

test-tools:
	@$(XTASK) test-tools

prerequisites:
	@command -v cargo >/dev/null || { echo "Rust is needed and not on the PATH: see https://rustup.rs"; exit 1; }
	@minor=$$(cargo --version | cut -d. -f2); [ "$$minor" -ge $(RUST_NEEDED) ] \
		|| { echo "Rust 1.$(RUST_NEEDED) or newer is needed: rustup update"; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null \
		|| { echo "A C compiler is needed and not on the PATH. On Debian and Ubuntu: apt install build-essential"; exit 1; }
	@[ -x target/xtask/debug/xtask ] || echo "▸ Building the commands themselves"
