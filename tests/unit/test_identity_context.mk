test_identity_context_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c
test_identity_context_LIBS := -lssl -lcrypto
