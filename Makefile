# One command each; see README.md.
.DEFAULT_GOAL := build
export GOTOOLCHAIN := local

CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/countersign
TOOL    = go tool -modfile=tools.mod
COSIGN  = $(CACHE)/bin/cosign
MINIO   = $(CACHE)/bin/minio

.PHONY: build
build: ## escrowd and escrowctl into bin/
	go build -trimpath -o bin/ ./services/escrowd ./services/escrowctl

.PHONY: test
test: lint generated ## everything that CI runs
	.ci/test

.PHONY: lint
lint: ## linters, layer rules and API rules
	$(TOOL) golangci-lint run ./...
	go vet -tags bench ./...
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
campaign: ## kill the service KILLS times, and disturb its store, clock and processes for MINUTES, while releases are deposited
	COUNTERSIGN_KILLS=$(or $(KILLS),500) go test -count=1 -timeout 6h -run '^TestKilledAtAnyMoment$$' -v ./services/escrowctl/e2e
	COUNTERSIGN_MINUTES=$(or $(MINUTES),10) go test -count=1 -timeout 6h -run '^TestManyProcessesKilledAtAnyMoment$$' -v ./services/escrowctl/e2e
	COUNTERSIGN_MINUTES=$(or $(MINUTES),10) go test -count=1 -timeout 6h -run '^TestNothingIsLostWhileTheStoreAndTheClockFail$$' -v ./services/internal/servicetest

.PHONY: cosign
cosign: $(COSIGN) ## the stock verifier, into the cache folder
$(COSIGN):
	mkdir -p $(dir $@)
	cd / && GOBIN=$(dir $@) go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

.PHONY: minio
minio: $(MINIO) ## the S3 server of the tests, into the cache folder
$(MINIO):
	mkdir -p $(dir $@)
	cd / && GOBIN=$(dir $@) go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

.PHONY: testdata-real
testdata-real: ## what others have signed, for the tests of signatures, into the cache folder
	.ci/testdata-real

.PHONY: help
help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16
