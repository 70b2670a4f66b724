# make alone lists the targets.

FUZZTIME ?= 30s
ROUNDS   ?= 1
ARGS     ?=

.PHONY: help run build tools check structure test test-short clients examples web inspector deploy contract types conform drill bench abuse capacity fuzz soak

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## a service with a NATS server of its own on port 4222, stored in ./data, for all examples (ARGS="--port -1" to change)
	go build -tags notraces -o bin/ ./cmd/roomd ./cmd/roomctl
	@exec bin/roomd --config examples/roomd.yaml $(ARGS)

build: ## the service and the tool for people, roomd and roomctl, into bin/
	go build -o bin/ ./cmd/roomd ./cmd/roomctl

tools: ## all programs, with those that measure, into bin/
	go build -o bin/ ./cmd/...

contract: ## docs/contract and README's tables, generated again from the code
	go run ./docs/contract/generate
	go test ./docs -run '^TestTables$$' -update
	go test ./cmd/roomctl -run '^TestManual$$' -update

types: ## compile clients against the TypeScript types (needs npm)
	cd docs/contract/typescript && npm ci --no-audit --no-fund && npm run check
	cd clients/js && npm ci --no-audit --no-fund && npm run types

conform: build ## does roomd keep the contract, tried from outside (needs node and npm)
	cd docs/contract/conform && npm ci --no-audit --no-fund && npm run roomd

check: ## format, vet, staticcheck, go.mod, the import rule and structure: what must hold before any test
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not as gofmt has it; run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go vet ./.ci/structure
	go vet -tags notraces ./cmd/roomd
	go mod tidy -diff
	cd deploy/observability && go vet ./... && go mod tidy -diff
	.ci/imports.sh
	@go run ./.ci/structure >/dev/null

structure: ## how the code hangs together: circles of files, lengths, shares of tests; what it prints is in CONTRIBUTING.md
	@go run ./.ci/structure

test: ## every test, race detector on
	go test -race -timeout 30m ./...
	go test -race -tags notraces ./cmd/roomd/spans
	cd deploy/observability && go test -count 1 ./...

test-short: ## the quick tests, for while you work
	go test -short -timeout 2m ./...

clients: build ## the JavaScript client against a roomd; needs node and npm
	cd clients/js && npm ci --no-audit --no-fund && npm test

examples: build bin/nats ## the examples in JavaScript, with React and for the nats command line, and the first steps in README; needs node, npm and Chromium
	cd clients/js && npm ci --no-audit --no-fund
	cd examples/react && npm ci --no-audit --no-fund && npm test
	cd examples/javascript && npm ci --no-audit --no-fund && npm test

web: ## the inspector's page, built again from its source; what comes out is committed (needs node and npm)
	cd cmd/roomd/inspector/web && npm ci --no-audit --no-fund && npm run build

inspector: build ## the inspector's page in a browser, against a roomd with 100,000 rooms (PICTURES=docs/pictures takes the manual's pictures again); needs node, npm and Chromium
	cd clients/js && npm ci --no-audit --no-fund
	cd cmd/roomd/inspector/web && npm ci --no-audit --no-fund && $(if $(PICTURES),PICTURES=$(abspath $(PICTURES)) )npm test

bin/nats: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/nats-io/natscli/nats@v0.5.1
	@touch $@

bin/nats-server: go.mod
	go build -o $@ github.com/nats-io/nats-server/v2

drill: build bin/nats bin/nats-server ## an operators' drill: a backup, the loss of the store, and the restore, with a roomd of its own
	deploy/drill/backup-restore.sh

deploy: ## deploy/: the unit, the image, the chart and the cluster, checked by what reads them; the module deploy/check has what that needs
	cd deploy/check && go mod tidy -diff && go vet . && go test -timeout 10m .

bench: ## measure against raw NATS (ARGS="--shape clients" to change)
	go run ./cmd/roombench $(ARGS)

abuse: tools ## what hostile end users can do to honest ones: a table of attacks, some twenty minutes (ARGS="--quick" for five)
	bin/abuse $(ARGS)

capacity: tools ## what a steady rate of work costs, for one server and for three: the tables of docs/operations.md, some ten minutes
	bin/capacity $(ARGS)
	bin/capacity --servers 3 $(ARGS)

fuzz: ## every fuzz target, each for FUZZTIME (30s)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

soak: ## the long form of everything that only time can prove: kills, cuts, storms, leases, hostile bytes; ends with a table of what was measured
	@rm -f bin/figures; mkdir -p bin
	NATSROOMS_LONG=1 NATSROOMS_FIGURES=$(CURDIR)/bin/figures go test -race -count $(ROUNDS) -failfast -timeout 0 -p 1 ./...
	NATSROOMS_LONG=1 NATSROOMS_FIGURES=$(CURDIR)/bin/figures go test -count $(ROUNDS) -timeout 0 -p 1 -run '^(TestCrowdOfWatchers|TestRevocation|TestThousandExpire)$$' ./roomsvc ./roomsvc/faults
	@awk -F '\t' '{ printf "%-34s %s\n", $$1, $$2 }' bin/figures
