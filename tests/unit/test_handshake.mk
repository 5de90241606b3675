HANDSHAKE_SRCS := $(wildcard agentclient/handshake/*.c agentclient/identity/*.c agentclient/policy/*.c) \
                  shim/record/record.c tests/unit/support_pki.c tests/unit/support_handshake.c
HANDSHAKE_LIBS := -lssl -lcrypto -levent_core -lyaml -ljansson -lpthread
test_handshake_SRCS := $(HANDSHAKE_SRCS)
test_handshake_LIBS := $(HANDSHAKE_LIBS)
