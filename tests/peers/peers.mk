# The independent peers of the integration tests (Go, Envoy, Python): fetched once, pinned, into $(BUILD)/peers.
peers: $(BUILD)/tests/verify-vector
	tests/peers/prepare $(BUILD)
.PHONY: peers
