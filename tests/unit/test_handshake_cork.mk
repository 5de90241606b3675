include tests/unit/test_handshake.mk
test_handshake_cork_SRCS := $(HANDSHAKE_SRCS)
test_handshake_cork_LIBS := $(HANDSHAKE_LIBS)
