include tests/unit/test_handshake.mk
test_secrets_SRCS := $(HANDSHAKE_SRCS)
test_secrets_LIBS := $(HANDSHAKE_LIBS)
