test_identity_SRCS := $(wildcard agentclient/identity/*.c) tests/unit/support_pki.c
test_identity_LIBS := -lssl -lcrypto
