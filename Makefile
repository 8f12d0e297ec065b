# Each target is one script, the same for people and CI.
.PHONY: help demo check generate test e2e bench oracle fuzz cluster-up cluster-down clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: ## a cluster, the operator, one execution that is allowed and one that is denied (root; the first time builds for half an hour)
	@e2e/demo.sh

check: ## what needs no cluster: format, lints, unit tests, generated files, licences, scripts, charts
	@.ci/test fmt clippy unit generated deny shell charts

generate: ## writes the files that are generated from code
	@.ci/generate

test: ## all checks and the tests in the cluster; prints their count
	@.ci/test

e2e: ## only the tests in the cluster
	@e2e/test.sh

bench: ## benchmarks, in the cluster too
	@.ci/bench

oracle: ## 10 million random pairs of requirements and grants against brute force
	@.ci/oracle

fuzz: ## ten minutes of fuzzing
	@.ci/fuzz 600

cluster-up: ## starts the local cluster
	@e2e/cluster/up.sh

cluster-down: ## stops it, and leaves nothing but its folder
	@e2e/cluster/down.sh

clean: ## stops it, and removes its folder and what was built, but for the cluster's tools
	@.ci/clean
