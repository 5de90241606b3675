include tests/unit/test_handshake.mk
test_handshake_hello_SRCS := $(HANDSHAKE_SRCS)
test_handshake_hello_LIBS := $(HANDSHAKE_LIBS)
