# One command each; see README.md.
.DEFAULT_GOAL := build
export GOTOOLCHAIN := local

CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/countersign
TOOL    = go tool -modfile=tools.mod
COSIGN  = $(CACHE)/bin/cosign

.PHONY: build
build: ## escrowd and escrowctl into bin/
	go build -trimpath -o bin/ ./services/escrowd ./services/escrowctl

# -count=1: the end-to-end tests build the programs, which the test cache does not see.
.PHONY: test
test: lint generated ## everything that CI runs
	go test -race -count=1 -timeout 20m ./...

.PHONY: lint
lint: ## linters, layer rules and API rules
	$(TOOL) golangci-lint run ./...
	$(TOOL) buf lint
	$(TOOL) buf breaking --against proto/released.binpb

.PHONY: generate
generate: ## Go code from proto/
	$(TOOL) buf generate

.PHONY: generated
generated: ## is the committed Go code what proto/ generates?
	.ci/check-generated

.PHONY: released
released: ## take today's API as the one that later changes must not break
	$(TOOL) buf build --exclude-source-info -o proto/released.binpb

.PHONY: demo
demo: ## the main job on real input, end to end
	deploy/demo/run.sh

.PHONY: bench
bench: build ## benchmarks, each beside its peer
	.ci/bench

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME each
	.ci/fuzz $(or $(FUZZTIME),60s)

.PHONY: campaign
campaign: ## kill the service KILLS times while releases are deposited, and look for what is lost
	COUNTERSIGN_CAMPAIGN=$(or $(KILLS),200) go test -count=1 -timeout 6h -run '^TestKilledAtAnyMoment$$' -v ./services/escrowctl/e2e

.PHONY: cosign
cosign: $(COSIGN) ## the stock verifier, into the cache folder
$(COSIGN):
	mkdir -p $(dir $@)
	cd / && GOBIN=$(dir $@) go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

.PHONY: help
help:
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
