# The independent peers of the integration tests (Go, Java, Envoy, Python): fetched once, pinned, into $(BUILD)/peers.
peers:
	tests/peers/prepare $(BUILD)
.PHONY: peers

# Our verifier alone, for certificates that others wrote.
VERIFY_VECTOR_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,tests/peers/verify-vector.c tests/unit/support_pki.c \
                       $(wildcard agentclient/identity/*.c))
$(BUILD)/tests/verify-vector: $(VERIFY_VECTOR_OBJ)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS_ALL) -lcmocka -lssl -lcrypto
test-programs: peers $(BUILD)/tests/verify-vector
