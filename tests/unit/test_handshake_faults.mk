include tests/unit/test_handshake.mk
test_handshake_faults_SRCS := $(HANDSHAKE_SRCS)
test_handshake_faults_LIBS := $(HANDSHAKE_LIBS)
